//! The stacks of a run: what formats of profilers are written from.

use crate::origin::Origin;
use crate::trace::report::{Class, Node, Report};

/// A function that executed instructions of its own, and what called it.
#[derive(Debug)]
pub(super) struct Stack<'a, 'p> {
    pub(super) class: &'a Class,
    /// The outermost first; never empty.
    pub(super) path: &'p [&'a Node],
    /// The innermost function's own instructions, over all crossings of the class.
    pub(super) weight: u64,
}

/// Calls `each` for the stacks of all classes, in the order of execution in each.
///
/// # Errors
/// The first one of `each`.
pub(super) fn stacks<'a, E>(
    run: &'a Report,
    each: &mut impl FnMut(Stack<'a, '_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut path = Vec::new();
    for class in &run.classes {
        below(class, &class.path, &mut path, each)?;
    }
    Ok(())
}

fn below<'a, E>(
    class: &'a Class,
    node: &'a Node,
    path: &mut Vec<&'a Node>,
    each: &mut impl FnMut(Stack<'a, '_>) -> Result<(), E>,
) -> Result<(), E> {
    path.push(node);
    if node.own > 0 {
        let weight = node.own.saturating_mul(class.count);
        each(Stack {
            class,
            path,
            weight,
        })?;
    }
    for child in &node.children {
        below(class, child, path, each)?;
    }
    path.pop();
    Ok(())
}

/// Whether the address belongs to the kernel, its entry included.
pub(super) const fn in_kernel(origin: Origin) -> bool {
    matches!(origin, Origin::Entry | Origin::Kernel(_))
}
