// What speedscope's own importer makes of a file: name, unit and weights of each profile as JSON.
//
// Usage: node read_speedscope.js NODE_MODULES FILE
//
// The package is the page, one bundle. Its importer is what the page calls with a file that is dropped on it; the page
// itself wants a browser and gives up where it finds none, after the importer is there.

const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')

const [modules, file] = process.argv.slice(2)
const release = path.join(modules, 'speedscope/dist/release')
const bundle = fs.readdirSync(release).find(name => /^speedscope-.*\.js$/.test(name))
const page = fs.readFileSync(path.join(release, bundle), 'utf8')
const importer = /async function (\w+)\(\w+,\w+\)\{return\(await \w+\)\.importProfileGroupFromText\(/.exec(page)
if (!importer) throw new Error(`${bundle}: its importer is not where it was; see which version is installed`)

globalThis.self = globalThis
globalThis.window = { location: { hash: '', protocol: 'file:' }, addEventListener() {} }
const say = console.log
console.log = console.warn = () => {}
try {
  vm.runInThisContext(page.replace('(()=>{', `(()=>{globalThis.importText=${importer[1]};`))
} catch (error) {
  if (!String(error).includes('document is not defined')) throw error
}

globalThis.importText(path.basename(file), fs.readFileSync(file, 'utf8')).then(group => {
  if (!group) throw new Error(`${file}: speedscope knows no such format`)
  const profiles = group.profiles.map(profile => {
    let own = 0
    const stacks = {}
    profile.forEachFrame(frame => { own += frame.getSelfWeight() })
    for (const root of profile.getGroupedCalltreeRoot().children) stacks[root.frame.name] = root.getTotalWeight()
    return { name: profile.getName(), unit: profile.getWeightUnit(), total: profile.getTotalWeight(), own, roots: stacks }
  })
  say(JSON.stringify(profiles))
}).catch(error => {
  console.error(String(error))
  process.exit(1)
})
