// A debug adapter under the client that the protocol's authors test adapters with; what was seen, as JSON.
//
// Usage: node drive_dap.js NODE_MODULES UKLSCOPE SOURCE LINE

const [modules, program, source, line] = process.argv.slice(2)
const { DebugClient } = require(`${modules}/@vscode/debugadapter-testsupport`)

async function drive() {
  const client = new DebugClient(program, 'dap', 'uklscope')
  client.defaultTimeout = 60000
  await client.start()
  const seen = {}
  const stack = async () => {
    const { body } = await client.stackTraceRequest({ threadId: 1 })
    return body.stackFrames
  }
  const moved = async (move) => {
    const [stopped] = await Promise.all([client.waitForEvent('stopped'), move()])
    return stopped.body
  }
  // Launches, sets the breakpoint, and fails where the target stops elsewhere.
  const launch = { image: 'syscalls', mode: 'ukl', stopOnEntry: false }
  await client.hitBreakpoint(launch, { path: source, line: Number(line) })
  seen.first = (await stack()).map(frame => frame.name)

  await client.setBreakpointsRequest({ source: { path: source }, breakpoints: [] })
  await client.setFunctionBreakpointsRequest({ breakpoints: [{ name: 'ksys_write', condition: 'count == 1' }] })
  seen.stopped = await moved(() => client.continueRequest({ threadId: 1 }))
  const frames = await stack()
  seen.frames = frames.map(({ name, presentationHint }) => ({ name, presentationHint }))
  const { body: { scopes } } = await client.scopesRequest({ frameId: frames[0].id })
  seen.values = {}
  for (const { name, variablesReference } of scopes) {
    const { body } = await client.variablesRequest({ variablesReference })
    seen.values[name] = Object.fromEntries(body.variables.map(variable => [variable.name, variable.value]))
  }
  seen.next = await moved(() => client.nextRequest({ threadId: 1 }))
  seen.out = await moved(() => client.customRequest('cross', { threadId: 1, back: true }))
  seen.back = (await stack())[0].name
  seen.in = await moved(() => client.customRequest('cross', { threadId: 1 }))
  // A box that is ticked stops as an exception, which says what it is.
  await client.setFunctionBreakpointsRequest({ breakpoints: [] })
  await client.setExceptionBreakpointsRequest({ filters: ['syscall'] })
  seen.exception = await moved(() => client.continueRequest({ threadId: 1 }))
  seen.told = (await client.customRequest('exceptionInfo', { threadId: 1 })).body
  // Bytes below the stack are read as they were written.
  const sp = await client.evaluateRequest({ expression: '(unsigned long)$rsp - 128', context: 'watch' })
  const memoryReference = '0x' + BigInt(sp.body.result).toString(16)
  const data = Buffer.from('twelve bytes').toString('base64')
  seen.written = (await client.customRequest('writeMemory', { memoryReference, data })).body
  const read = await client.customRequest('readMemory', { memoryReference, count: 12 })
  seen.read = Buffer.from(read.body.data, 'base64').toString()
  await client.stop()
  return seen
}

drive().then(
  seen => { console.log(JSON.stringify(seen)) },
  error => { console.error(String(error)); process.exit(1) },
)
