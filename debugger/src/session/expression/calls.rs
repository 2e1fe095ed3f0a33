//! Calls of the debugger's own functions: `$list(HEAD, struct T, member)`.
//!
//! One table: a function's name and what its arguments are; the environment carries it out.

use super::parse::{Reader, Tree};
use super::{ExpressionError, Type};

/// What an argument is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Value,
    /// `struct task_struct`, or the same in quotation marks.
    Type,
    /// `se.run_node`, a member's path or a variable's name.
    Path,
}

/// An argument as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    Value(Tree),
    Type(Type),
    Path(String),
}

#[derive(Clone, Copy, Debug)]
pub struct Function {
    pub name: &'static str,
    pub takes: &'static [Takes],
    /// `HEAD, TYPE, MEMBER`
    pub arguments: &'static str,
    pub help: &'static str,
}

use Takes::{Path, Type as OfType, Value};

/// All of them.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "list",
        takes: &[Value, OfType, Path],
        arguments: "HEAD, TYPE, MEMBER",
        help: "what is chained on a struct list_head, as list_for_each_entry goes",
    },
    Function {
        name: "hlist",
        takes: &[Value, OfType, Path],
        arguments: "HEAD, TYPE, MEMBER",
        help: "what is chained on a struct hlist_head or hlist_nulls_head",
    },
    Function {
        name: "rbtree",
        takes: &[Value, OfType, Path],
        arguments: "ROOT, TYPE, MEMBER",
        help: "what is in a red-black tree (struct rb_root or rb_root_cached), in its order",
    },
    Function {
        name: "xarray",
        takes: &[Value, OfType],
        arguments: "XARRAY, TYPE",
        help: "what a struct xarray points to, by its indices",
    },
    Function {
        name: "maple",
        takes: &[Value, OfType],
        arguments: "TREE, TYPE",
        help: "what a struct maple_tree points to, by its ranges",
    },
    Function {
        name: "container_of",
        takes: &[Value, OfType, Path],
        arguments: "POINTER, TYPE, MEMBER",
        help: "the structure around a member",
    },
    Function {
        name: "percpu",
        takes: &[Path, Value],
        arguments: "VARIABLE, CPU",
        help: "a per-CPU variable as that CPU has it",
    },
    Function {
        name: "len",
        takes: &[Value],
        arguments: "SEQUENCE",
        help: "how many are in a sequence",
    },
];

impl Reader {
    /// What stands behind `$name(`.
    pub(super) fn call(&mut self, name: &str) -> Result<Tree, ExpressionError> {
        let Some(function) = FUNCTIONS.iter().find(|one| one.name == name) else {
            return Err(ExpressionError::NoFunction {
                name: name.to_owned(),
                known: FUNCTIONS.iter().map(|one| one.name).collect(),
            });
        };
        let mut arguments = Vec::new();
        for (i, takes) in function.takes.iter().enumerate() {
            let last = i + 1 == function.takes.len();
            let (sign, shown) = match last {
                true => (")", "')'"),
                false => (",", "','"),
            };
            arguments.push(match takes {
                Takes::Value => Argument::Value(self.enclosed(sign, shown)?),
                Takes::Type => {
                    let type_ = self.type_name()?;
                    self.needs(sign, shown)?;
                    Argument::Type(type_)
                }
                Takes::Path => {
                    let path = self.path()?;
                    self.needs(sign, shown)?;
                    Argument::Path(path)
                }
            });
        }
        Ok(Tree::Call(function.name, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::FUNCTIONS;

    #[test]
    fn each_function_is_completed() {
        let named: Vec<String> = FUNCTIONS
            .iter()
            .map(|function| format!("{}(", function.name))
            .collect();
        assert_eq!(named, crate::command::FUNCTIONS);
    }
}
