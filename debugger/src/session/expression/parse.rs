//! Tokens → a tree, by C's precedence.

use super::calls::Argument;
use super::token::{Token, tokens};
use super::{ExpressionError, Type};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    Number(u64),
    /// A double's bits.
    Float(u64),
    /// A text in quotation marks, to compare with.
    Text(String),
    Register(String),
    /// An empty origin is C++'s and gdb's `::name`: the global one, past the locals.
    Name {
        origin: Option<String>,
        name: String,
    },
    Unary(&'static str, Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    Cast(Type, Box<Self>),
    /// `of.name`, and with `true` `of->name`.
    Member(Box<Self>, String, bool),
    Index(Box<Self>, Box<Self>),
    /// `sizeof(struct file)`
    SizeOfType(Type),
    /// `sizeof(init_task)`; a name that is no variable's may be a type's.
    SizeOf(Box<Self>),
    /// `offsetof(struct task_struct, thread.sp)`
    OffsetOf(Type, String),
    /// `container_of(EXPRESSION, struct task_struct, tasks)`
    ContainerOf(Box<Self>, Type, String),
    /// `condition ? then : otherwise`
    Choice(Box<Self>, Box<Self>, Box<Self>),
    /// `place = value`; with an operator `place += value`.
    Assign(Option<&'static str>, Box<Self>, Box<Self>),
    /// `{int}0xffffffff81000000`: what lies there, as that type.
    At(Type, Box<Self>),
    /// `$list(&init_task.tasks, struct task_struct, tasks)`
    Call(&'static str, Vec<Argument>),
}

/// Deeper than any hand writes, and shallow enough for the stack.
const DEEPEST: usize = 64;

/// Binary operators and how tightly they bind.
const BINARY: &[(&str, u8)] = &[
    ("||", 1),
    ("&&", 2),
    ("|", 3),
    ("^", 4),
    ("&", 5),
    ("==", 6),
    ("!=", 6),
    ("<", 7),
    (">", 7),
    ("<=", 7),
    (">=", 7),
    ("<<", 8),
    (">>", 8),
    ("@", 9),
    ("+", 10),
    ("-", 10),
    ("*", 11),
    ("/", 11),
    ("%", 11),
];

/// Reads an expression.
///
/// # Errors
/// When the text is none; the error names what stands where.
pub fn parse(text: &str) -> Result<Tree, ExpressionError> {
    let mut reader = Reader {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        choices: 0,
    };
    if reader.tokens.is_empty() {
        return Err(ExpressionError::Empty);
    }
    let tree = reader.expression()?;
    match reader.peek() {
        None => Ok(tree),
        Some(_) => Err(reader.expected("an operator or the end")),
    }
}

pub(super) struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Between `?` and `:`, where a colon ends a name.
    choices: usize,
}

/// What an origin before a colon begins with.
const ORIGINS: [&str; 5] = ["app", "libc", "entry", "kernel", "unknown"];

/// Operators that may stand before an assignment's `=`.
const COMPOUND: [&str; 10] = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"];

impl Reader {
    /// An assignment, a choice, or what binds tighter.
    pub(super) fn expression(&mut self) -> Result<Tree, ExpressionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ExpressionError::Nested(DEEPEST));
        }
        let tree = self.expression_inside();
        self.depth -= 1;
        tree
    }

    fn expression_inside(&mut self) -> Result<Tree, ExpressionError> {
        let left = self.binary(0)?;
        if self.take("=") {
            let right = self.expression()?;
            return Ok(Tree::Assign(None, Box::new(left), Box::new(right)));
        }
        if let Some(Token::Sign(sign)) = self.peek()
            && let Some(sign) = COMPOUND.iter().find(|one| *one == sign)
            && matches!(self.tokens.get(self.at + 1), Some(Token::Sign("=")))
        {
            self.at += 2;
            let right = self.expression()?;
            return Ok(Tree::Assign(Some(sign), Box::new(left), Box::new(right)));
        }
        if self.take("?") {
            let choices = self.choices;
            self.choices = choices.saturating_add(1);
            let then = self.expression()?;
            self.choices = choices;
            self.needs(":", "':'")?;
            let otherwise = self.expression()?;
            return Ok(Tree::Choice(
                Box::new(left),
                Box::new(then),
                Box::new(otherwise),
            ));
        }
        Ok(left)
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expected(&self, expected: &'static str) -> ExpressionError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Number(n)) => n.to_string(),
            Some(Token::Float(bits)) => f64::from_bits(*bits).to_string(),
            Some(Token::Text(text)) => format!("\"{text}\""),
            Some(Token::Register(name)) => format!("${name}"),
            Some(Token::Word(word)) => word.clone(),
            Some(Token::Sign(sign)) => (*sign).to_owned(),
        };
        ExpressionError::Expected { expected, found }
    }

    fn binary(&mut self, least: u8) -> Result<Tree, ExpressionError> {
        let mut left = self.unary()?;
        loop {
            let Some(Token::Sign(sign)) = self.peek() else {
                return Ok(left);
            };
            let Some((sign, binds)) = BINARY.iter().find(|(name, _)| name == sign) else {
                return Ok(left);
            };
            let assigns = COMPOUND.contains(sign)
                && matches!(self.tokens.get(self.at + 1), Some(Token::Sign("=")));
            if *binds <= least || assigns {
                return Ok(left);
            }
            self.at += 1;
            let right = self.binary(*binds)?;
            left = Tree::Binary(sign, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Tree, ExpressionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ExpressionError::Nested(DEEPEST));
        }
        let tree = self.unary_inside();
        self.depth -= 1;
        tree
    }

    fn unary_inside(&mut self) -> Result<Tree, ExpressionError> {
        for sign in ["-", "+", "~", "!", "*", "&"] {
            if self.take(sign) {
                return Ok(Tree::Unary(sign, Box::new(self.unary()?)));
            }
        }
        let mut tree = self.primary()?;
        loop {
            let arrow = self.take("->");
            if arrow || self.take(".") {
                let Some(Token::Word(name)) = self.peek().cloned() else {
                    return Err(self.expected("a member's name"));
                };
                self.at += 1;
                // `file.c::name`
                if let (
                    Tree::Name {
                        origin: None,
                        name: file,
                    },
                    false,
                ) = (&tree, arrow)
                    && self.take("::")
                {
                    tree = self.name_in(format!("{file}.{name}"))?;
                    continue;
                }
                tree = Tree::Member(Box::new(tree), name, arrow);
            } else if self.take("[") {
                let index = self.enclosed("]", "']'")?;
                tree = Tree::Index(Box::new(tree), Box::new(index));
            } else {
                return Ok(tree);
            }
        }
    }

    fn primary(&mut self) -> Result<Tree, ExpressionError> {
        if self.take("(") {
            if let Some(type_) = self.type_()? {
                return Ok(Tree::Cast(type_, Box::new(self.unary()?)));
            }
            return self.enclosed(")", "')'");
        }
        if self.take("{") {
            let type_ = self.type_name()?;
            self.needs("}", "'}' behind a type")?;
            return Ok(Tree::At(type_, Box::new(self.unary()?)));
        }
        if self.take("::") {
            return self.name_in(String::new());
        }
        match self.peek().cloned() {
            Some(Token::Number(number)) => {
                self.at += 1;
                Ok(Tree::Number(number))
            }
            Some(Token::Float(bits)) => {
                self.at += 1;
                Ok(Tree::Float(bits))
            }
            Some(Token::Text(text)) => {
                self.at += 1;
                Ok(Tree::Text(text))
            }
            Some(Token::Register(name)) => {
                self.at += 1;
                match self.take("(") {
                    true => self.call(&name),
                    false => Ok(Tree::Register(name)),
                }
            }
            Some(Token::Word(word)) => {
                self.at += 1;
                if self.take("::") {
                    return self.name_in(word);
                }
                match (word.as_str(), self.take("(")) {
                    ("sizeof", true) => self.size_of(),
                    ("offsetof", true) => {
                        let (type_, path) = self.type_and_path()?;
                        Ok(Tree::OffsetOf(type_, path))
                    }
                    ("container_of", true) => {
                        let inner = self.enclosed(",", "','")?;
                        let (type_, path) = self.type_and_path()?;
                        Ok(Tree::ContainerOf(Box::new(inner), type_, path))
                    }
                    ("sizeof", false) => Ok(Tree::SizeOf(Box::new(self.unary()?))),
                    (_, true) => {
                        self.at -= 1;
                        self.name(word)
                    }
                    (_, false) => self.name(word),
                }
            }
            _ => Err(self.expected("a value")),
        }
    }

    /// What stands up to a closing sign: a colon in it is a name's again.
    pub(super) fn enclosed(
        &mut self,
        sign: &str,
        shown: &'static str,
    ) -> Result<Tree, ExpressionError> {
        let choices = std::mem::take(&mut self.choices);
        // What leads here is counted already.
        let inner = self.expression_inside()?;
        self.choices = choices;
        self.needs(sign, shown)?;
        Ok(inner)
    }

    pub(super) fn needs(&mut self, sign: &str, shown: &'static str) -> Result<(), ExpressionError> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(self.expected(shown)),
        }
    }

    pub(super) fn word(&mut self, expected: &'static str) -> Result<String, ExpressionError> {
        let Some(Token::Word(word)) = self.peek().cloned() else {
            return Err(self.expected(expected));
        };
        self.at += 1;
        Ok(word)
    }

    fn name_in(&mut self, file: String) -> Result<Tree, ExpressionError> {
        Ok(Tree::Name {
            origin: Some(file),
            name: self.word("a name")?,
        })
    }

    fn size_of(&mut self) -> Result<Tree, ExpressionError> {
        if let Some(type_) = self.type_()? {
            return Ok(Tree::SizeOfType(type_));
        }
        let inner = self.enclosed(")", "')'")?;
        Ok(Tree::SizeOf(Box::new(inner)))
    }

    /// `struct task_struct, thread.sp)`
    fn type_and_path(&mut self) -> Result<(Type, String), ExpressionError> {
        let type_ = self.type_name()?;
        self.needs(",", "','")?;
        let path = self.path()?;
        self.needs(")", "')'")?;
        Ok((type_, path))
    }

    /// `thread.sp`
    pub(super) fn path(&mut self) -> Result<String, ExpressionError> {
        if let Some(Token::Text(text)) = self.peek().cloned() {
            self.at += 1;
            return Ok(text);
        }
        let mut path = self.word("a member's name")?;
        while self.take(".") {
            path = format!("{path}.{}", self.word("a member's name")?);
        }
        Ok(path)
    }

    /// A type where nothing else can stand; in quotation marks as well, as in C's macros' helpers.
    pub(super) fn type_name(&mut self) -> Result<Type, ExpressionError> {
        if let Some(Token::Text(text)) = self.peek().cloned() {
            self.at += 1;
            return Ok(Type::named(&text));
        }
        let mut words = vec![self.word("a type")?];
        while let Some(Token::Word(word)) = self.peek().cloned() {
            self.at += 1;
            words.push(word);
        }
        self.stars_and_counts(Type::named(&words.join(" ")))
    }

    /// `**`, `[16]` and `(*)[16]` behind a type's name.
    fn stars_and_counts(&mut self, mut type_: Type) -> Result<Type, ExpressionError> {
        while self.take("*") {
            type_ = type_.pointer();
        }
        let inner = matches!(
            self.tokens.get(self.at..self.at + 3),
            Some([Token::Sign("("), Token::Sign("*"), Token::Sign(")")])
        );
        if inner {
            self.at += 3;
        }
        let mut counts = Vec::new();
        while self.take("[") {
            let Some(Token::Number(count)) = self.peek().cloned() else {
                return Err(self.expected("a count"));
            };
            self.at += 1;
            self.needs("]", "']'")?;
            counts.push(count);
        }
        for count in counts.into_iter().rev() {
            type_ = Type::Array(Box::new(type_), count);
        }
        Ok(match inner {
            true => type_.pointer(),
            false => type_,
        })
    }

    /// `main`, `app:write`, `kernel:fs:write`.
    fn name(&mut self, first: String) -> Result<Tree, ExpressionError> {
        let may_have_origin = self.choices == 0 || ORIGINS.contains(&first.as_str());
        let mut parts = vec![first];
        let deepest = 3;
        while may_have_origin && parts.len() < deepest && self.take(":") {
            match self.peek().cloned() {
                Some(Token::Word(word)) => {
                    self.at += 1;
                    parts.push(word);
                }
                _ => return Err(self.expected("a name")),
            }
        }
        let name = parts.pop().unwrap_or_default();
        let origin = Some(parts.join(":")).filter(|origin| !origin.is_empty());
        Ok(Tree::Name { origin, name })
    }

    /// A type and the `)` behind it, when a `(` begins a cast.
    fn type_(&mut self) -> Result<Option<Type>, ExpressionError> {
        let mut words = Vec::new();
        let mut at = self.at;
        while let Some(Token::Word(word)) = self.tokens.get(at) {
            words.push(word.as_str());
            at += 1;
        }
        // `(uid)` is a name in parentheses, `(uid *)` can only be a type.
        let starred = matches!(self.tokens.get(at), Some(Token::Sign("*")))
            && matches!(self.tokens.get(at + 1), Some(Token::Sign("*" | ")")));
        // `(gfp_t)flags`: behind a name in parentheses a value can only stand if that is a type.
        let closed = matches!(self.tokens.get(at), Some(Token::Sign(")")));
        let before_value = match self.tokens.get(at + 1) {
            Some(Token::Sign(sign)) => matches!(*sign, "(" | "~" | "!"),
            Some(_) => true,
            None => false,
        };
        let is_type = words.first().is_some_and(|word| {
            Type::begins_with(word) || starred || (closed && before_value) || words.len() > 1
        });
        if !is_type {
            return Ok(None);
        }
        let type_ = Type::named(&words.join(" "));
        self.at = at;
        let type_ = self.stars_and_counts(type_)?;
        if !self.take(")") {
            return Err(self.expected("')' behind a type"));
        }
        Ok(Some(type_))
    }
}
