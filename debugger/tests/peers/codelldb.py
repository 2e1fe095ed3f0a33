"""The calls of lldb's interface that CodeLLDB makes, in its order, and what it would tell the editor, a line each.

lldb's own Python runs it: `command script import`. The environment has the recipe's commands, INIT, CREATE_TARGET and
CREATE_PROCESS; SESSION, which of those below is carried out; and LINE, a line of the application's main.c.
"""

import os
import queue
import threading

import lldb

ALL = 0xFFFFFFFF
DEADLINE = 120


def tell(what, *values):
    print(what + ":", *values, flush=True)


def succeeded(error, what):
    if error.Fail():
        raise RuntimeError(f"{what}: {error.GetCString()}")


class Adapter:
    def __init__(self):
        self.debugger = lldb.SBDebugger.Create(False)
        self.debugger.SetAsync(True)
        self.listener = self.debugger.GetListener()
        self.interpreter = self.debugger.GetCommandInterpreter()
        self.events = queue.Queue()
        self.over = False
        threading.Thread(target=self.poll, daemon=True).start()

    def poll(self):
        while not self.over:
            event = lldb.SBEvent()
            if self.listener.WaitForEvent(1, event):
                self.events.put(event)

    def process(self):
        return self.target.GetProcess()

    def thread(self):
        return self.process().GetThreadByID(self.stopped.GetThreadID())

    # Beginning a session

    def initialize(self):
        name = lldb.SBThread.GetBroadcasterClassName()
        self.listener.StartListeningForEventClass(self.debugger, name, ALL)

    def commands(self, commands):
        for command in commands:
            result = lldb.SBCommandReturnObject()
            self.interpreter.HandleCommand(command, result, False)
            if not result.Succeeded():
                raise RuntimeError(f"{command}: {result.GetError()}")
        self.debugger.SetAsync(True)

    def create_target(self):
        self.commands(os.environ["INIT"].splitlines())
        name = self.debugger.GetInstanceName()
        lldb.SBDebugger.SetInternalVariable("auto-confirm", "true", name)
        self.commands(os.environ["CREATE_TARGET"].splitlines())
        self.target = self.debugger.GetSelectedTarget()
        self.listener.StartListeningForEvents(self.target.GetBroadcaster(), ALL)

    def create_process(self):
        self.commands(os.environ["CREATE_PROCESS"].splitlines())
        state = self.process().GetState()
        tell("joined", lldb.SBDebugger.StateAsCString(state))
        # Any other, as lldb has one until it has taken the first stop, is a failure to the adapter.
        if state != lldb.eStateStopped:
            raise RuntimeError("the process is not valid")
        self.tell_stop()

    # Breakpoints

    def planted(self, breakpoint, what):
        breakpoint.SetScriptCallbackBody("return True")
        tell(what, breakpoint.GetNumLocations(), "resolved", breakpoint.GetNumResolvedLocations())
        return breakpoint

    def set_exception_breakpoints(self):
        throw = self.target.BreakpointCreateForException(lldb.eLanguageTypeC_plus_plus, False, True)
        throw.AddName("cpp_exception")
        panic = self.target.BreakpointCreateByName("rust_panic")
        panic.AddName("rust_panic")

    def set_function_breakpoint(self, name):
        return self.planted(self.target.BreakpointCreateByName(name), name)

    def set_source_breakpoint(self, path, line):
        location = self.target.BreakpointCreateByLocation(path, line)
        entry = location.GetLocationAtIndex(0).GetAddress().GetLineEntry()
        return self.planted(location, f"line {entry.GetLine()}")

    def set_data_breakpoint(self, address, size):
        error = lldb.SBError()
        self.target.DeleteAllWatchpoints()
        self.target.WatchAddress(address, size, False, True, error)
        succeeded(error, "a data breakpoint")

    # Stops

    def until_stopped(self):
        while True:
            event = self.events.get(timeout=DEADLINE)
            if not lldb.SBProcess.EventIsProcessEvent(event):
                continue
            if not event.GetType() & lldb.SBProcess.eBroadcastBitStateChanged:
                continue
            state = lldb.SBProcess.GetStateFromEvent(event)
            if state == lldb.eStateStopped and not lldb.SBProcess.GetRestartedFromEvent(event):
                return self.tell_stop()
            if state in (lldb.eStateExited, lldb.eStateDetached):
                return tell("ended", lldb.SBDebugger.StateAsCString(state))

    def tell_stop(self):
        without = (lldb.eStopReasonInvalid, lldb.eStopReasonNone)
        thread = self.process().GetSelectedThread()
        if thread.GetStopReason() in without:
            for other in self.process():
                if other.GetStopReason() not in without:
                    self.process().SetSelectedThread(other)
                    thread = other
                    break
        reason = thread.GetStopReason()
        self.stopped = thread
        if reason == lldb.eStopReasonBreakpoint:
            tell("stopped", "breakpoint", thread.GetStopReasonDataAtIndex(0))
        elif reason == lldb.eStopReasonWatchpoint:
            tell("stopped", "data breakpoint", thread.GetStopReasonDataAtIndex(0))
        elif reason in (lldb.eStopReasonTrace, lldb.eStopReasonPlanComplete):
            tell("stopped", "step")
        else:
            tell("stopped", "exception", thread.GetStopDescription(100))

    def threads(self):
        for thread in self.process():
            tell("thread", thread.GetIndexID(), thread.GetThreadID(), thread.GetName())

    def stack(self):
        # The editor asks for the innermost frame, then for twenty.
        frames = []
        for start, levels in [(0, 1), (1, 19)]:
            for index in range(start, start + levels):
                frame = self.thread().GetFrameAtIndex(index)
                if not frame.IsValid():
                    break
                at = frame.GetPCAddress().GetLoadAddress(self.target)
                entry = frame.GetLineEntry()
                frame.GetModule().GetFileSpec()
                name = frame.GetFunctionName()
                tell("frame", index, name, entry.GetFileSpec().GetFilename(), entry.GetLine(), hex(at))
                frames.append(frame)
        return frames

    # What a frame holds

    def show(self, value, depth=1):
        """As a tree of the editor's has it, its first level open."""
        if value.GetError().Fail():
            return f"<{value.GetError().GetCString()}>"
        value.GetDisplayTypeName()
        value.GetType().GetBasicType()
        pointee = value.GetType().GetPointeeType()
        if pointee.IsValid() and pointee.GetBasicType() == lldb.eBasicTypeInvalid and value.GetValueAsUnsigned(0):
            value.Dereference().GetData().GetByteSize()
        if depth and value.GetNumChildren() and not value.TypeIsPointerType():
            for child in value:
                self.show(child, depth - 1)
        return value.GetSummary() or value.GetValue() or "{...}"

    def variables(self, frame):
        self.thread().GetStopReturnValue()
        for value in frame.GetVariables(True, True, False, True):
            tell("local", value.GetName(), self.show(value))
        for value in frame.GetVariables(False, False, True, True):
            if value.GetValueType() == lldb.eValueTypeVariableStatic:
                tell("static", value.GetName(), self.show(value))
        for group in frame.GetRegisters():
            values = [(value.GetName(), self.show(value)) for value in group]
            known = dict(values)
            tell("registers", group.GetName(), len(values), "rip", known.get("rip"), "cr3", known.get("cr3"))

    def evaluate(self, frame, expression):
        value = frame.EvaluateExpression(expression)
        succeeded(value.GetError(), expression)
        tell("value", value.GetValue())
        return value

    def console(self, frame, command):
        result = lldb.SBCommandReturnObject()
        self.interpreter.HandleCommand(command, lldb.SBExecutionContext(frame), result, False)
        if not result.Succeeded():
            raise RuntimeError(f"{command}: {result.GetError()}")
        tell("console", result.GetOutput())

    def read_memory(self, address, count):
        region = lldb.SBMemoryRegionInfo()
        succeeded(self.process().GetMemoryRegionInfo(address, region), "the region")
        if not region.IsReadable():
            return tell("memory", "not readable")
        error = lldb.SBError()
        count = min(count, region.GetRegionEnd() - address)
        data = self.process().ReadMemory(address, count, error)
        succeeded(error, "memory")
        tell("memory", len(data), data[:1])

    def write_memory(self, address, data):
        region = lldb.SBMemoryRegionInfo()
        succeeded(self.process().GetMemoryRegionInfo(address, region), "the region")
        if not region.IsWritable():
            return tell("written", "not writable")
        error = lldb.SBError()
        written = self.process().WriteMemory(address, data, error)
        succeeded(error, "writing")
        tell("written", written)

    def disassemble(self, address, before, count):
        """It reads as many bytes as so many of the longest instructions have, and tries where they begin."""
        error = lldb.SBError()
        start = address - before * 16
        data = self.process().ReadMemory(start, count * 16, error)
        succeeded(error, "instructions")
        for skipped in range(16):
            at = lldb.SBAddress(start + skipped, self.target)
            found = self.target.GetInstructions(at, data[skipped:])
            addresses = [one.GetAddress().GetLoadAddress(self.target) for one in found]
            if address in addresses:
                one = found[addresses.index(address)]
                one.GetAddress().GetSymbol().GetName()
                one.GetAddress().GetLineEntry().GetLine()
                return tell("instruction", one.GetMnemonic(self.target), one.GetOperands(self.target))
        raise RuntimeError("no instruction begins there")

    # Moves

    def resume(self):
        succeeded(self.process().Continue(), "continue")
        self.until_stopped()

    def next(self):
        error = lldb.SBError()
        self.thread().StepOver(lldb.eOnlyDuringStepping, error)
        succeeded(error, "next")
        self.until_stopped()

    def step_in(self):
        self.thread().StepInto(lldb.eOnlyDuringStepping)
        self.until_stopped()

    def step_instruction(self, over):
        error = lldb.SBError()
        self.thread().StepInstruction(over, error)
        succeeded(error, "an instruction")
        self.until_stopped()

    def step_out(self):
        error = lldb.SBError()
        self.thread().StepOut(error)
        succeeded(error, "step out")
        self.until_stopped()

    def run_and_pause(self):
        succeeded(self.process().Continue(), "continue")
        while True:
            event = self.events.get(timeout=DEADLINE)
            if lldb.SBProcess.GetStateFromEvent(event) == lldb.eStateRunning:
                break
        succeeded(self.process().Stop(), "pause")
        self.until_stopped()

    def back(self, packet):
        """lldb has no commands that go back: packets, one too many, and a step that has it look again."""
        number = self.thread().GetThreadID()
        self.commands(
            [f"process plugin packet send {packet}" for packet in (f"Hc{number:x}", packet, "bs")]
            + ["stepi"]
        )
        self.until_stopped()

    def disconnect(self):
        succeeded(self.process().Detach(), "detach")
        self.until_stopped()
        self.over = True


def live():
    adapter = Adapter()
    adapter.initialize()
    adapter.create_target()
    adapter.set_exception_breakpoints()
    kernel = adapter.set_function_breakpoint("ksys_write")
    function = adapter.target.FindFunctions("bench_write")[0].GetFunction()
    source = function.GetStartAddress().GetLineEntry().GetFileSpec().fullpath
    application = adapter.set_source_breakpoint(source, int(os.environ["LINE"]))
    adapter.create_process()
    adapter.threads()
    adapter.stack()

    # In the application, whose counter is set far beyond what the test waits for.
    adapter.resume()
    frame = adapter.stack()[0]
    adapter.variables(frame)
    adapter.evaluate(frame, "n = 100000000")

    # In the kernel, called from there.
    adapter.resume()
    adapter.threads()
    frame = adapter.stack()[0]
    adapter.variables(frame)
    adapter.evaluate(frame, "count + 41")
    buffer = adapter.evaluate(frame, "buf").GetValueAsUnsigned()
    adapter.read_memory(buffer, 64)
    adapter.write_memory(buffer, b"y")
    adapter.read_memory(buffer, 1)
    adapter.disassemble(frame.GetPC(), 4, 8)
    adapter.console(frame, "process plugin packet monitor uklscope why")
    adapter.next()
    adapter.step_instruction(False)
    adapter.step_instruction(True)
    adapter.step_in()
    adapter.stack()
    adapter.set_data_breakpoint(buffer, 1)
    adapter.step_out()
    adapter.target.DeleteAllWatchpoints()
    for breakpoint in (kernel, application):
        adapter.target.BreakpointDelete(breakpoint.GetID())
    adapter.run_and_pause()
    adapter.stack()
    adapter.disconnect()


def back():
    adapter = Adapter()
    adapter.initialize()
    adapter.create_target()
    adapter.set_function_breakpoint("ksys_write")
    adapter.create_process()
    for _ in range(2):
        adapter.resume()
        adapter.stack()
    adapter.back("bs")
    adapter.stack()
    adapter.back("bc")
    adapter.stack()
    adapter.disconnect()


{"live": live, "back": back}[os.environ["SESSION"]]()
