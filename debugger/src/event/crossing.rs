//! What is told of the call by which control came to the kernel.

use serde::Serialize;

/// An argument, as both sides have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CallArgument {
    /// As the kernel's function calls it; the register where that is not known.
    pub name: String,
    /// `1`, `0x7ffffffdfea7`, `(not kept by the entry code)`.
    pub value: String,
    /// `const char *`, as the kernel's function declares it.
    pub kernel_type: Option<String>,
    /// `const void *`, as the application's side declares it.
    pub app_type: Option<String>,
    /// What lies behind it: the bytes, a structure's members, a descriptor's file.
    pub holds: Vec<String>,
    /// Whose memory a pointer points into: `stack of syscalls/1`.
    pub memory: Option<String>,
    /// What is to be known of it beside.
    pub note: Option<String>,
}

impl CallArgument {
    /// `fd = 4`
    #[must_use]
    pub fn short(&self) -> String {
        format!("{} = {}", self.name, self.value)
    }

    /// With the types of both sides, and below what lies behind, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let types = match (&self.kernel_type, &self.app_type) {
            (Some(kernel), Some(app)) if kernel == app => format!("  ({kernel} on both sides)"),
            (Some(kernel), Some(app)) => format!("  (kernel: {kernel}; application: {app})"),
            (Some(kernel), None) => format!("  (kernel: {kernel})"),
            (None, Some(app)) => format!("  (application: {app})"),
            (None, None) => String::new(),
        };
        let mut lines = vec![format!("{}{types}", self.short())];
        let below = self.holds.iter().cloned();
        let memory = self.memory.iter().map(|memory| format!("in {memory}"));
        let note = self.note.iter().cloned();
        lines.extend(
            below
                .chain(memory)
                .chain(note)
                .map(|line| format!("    {line}")),
        );
        lines
    }
}
