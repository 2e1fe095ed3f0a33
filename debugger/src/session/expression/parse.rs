//! Tokens → a tree, by C's precedence.

use super::token::{Token, tokens};
use super::{ExpressionError, Type};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    Number(u64),
    Register(String),
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
    };
    if reader.tokens.is_empty() {
        return Err(ExpressionError::Empty);
    }
    let tree = reader.binary(0)?;
    match reader.peek() {
        None => Ok(tree),
        Some(_) => Err(reader.expected("an operator or the end")),
    }
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(s)) if *s == sign);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, expected: &'static str) -> ExpressionError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Number(n)) => n.to_string(),
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
            if *binds <= least {
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
                let index = self.binary(0)?;
                if !self.take("]") {
                    return Err(self.expected("']'"));
                }
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
            let inner = self.binary(0)?;
            if !self.take(")") {
                return Err(self.expected("')'"));
            }
            return Ok(inner);
        }
        match self.peek().cloned() {
            Some(Token::Number(number)) => {
                self.at += 1;
                Ok(Tree::Number(number))
            }
            Some(Token::Register(name)) => {
                self.at += 1;
                Ok(Tree::Register(name))
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
                        let inner = self.binary(0)?;
                        self.needs(",", "','")?;
                        let (type_, path) = self.type_and_path()?;
                        Ok(Tree::ContainerOf(Box::new(inner), type_, path))
                    }
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

    fn needs(&mut self, sign: &str, shown: &'static str) -> Result<(), ExpressionError> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(self.expected(shown)),
        }
    }

    fn word(&mut self, expected: &'static str) -> Result<String, ExpressionError> {
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
        let inner = self.binary(0)?;
        self.needs(")", "')'")?;
        Ok(Tree::SizeOf(Box::new(inner)))
    }

    /// `struct task_struct, thread.sp)`
    fn type_and_path(&mut self) -> Result<(Type, String), ExpressionError> {
        let mut words = vec![self.word("a type")?];
        while let Some(Token::Word(word)) = self.peek().cloned() {
            self.at += 1;
            words.push(word);
        }
        self.needs(",", "','")?;
        let mut path = self.word("a member's name")?;
        while self.take(".") {
            path = format!("{path}.{}", self.word("a member's name")?);
        }
        self.needs(")", "')'")?;
        Ok((Type::named(&words.join(" ")), path))
    }

    /// `main`, `app:write`, `kernel:fs:write`.
    fn name(&mut self, first: String) -> Result<Tree, ExpressionError> {
        let mut parts = vec![first];
        while self.take(":") {
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
        let is_type = words
            .first()
            .is_some_and(|word| Type::begins_with(word) || starred);
        if !is_type {
            return Ok(None);
        }
        let mut type_ = Type::named(&words.join(" "));
        self.at = at;
        while self.take("*") {
            type_ = type_.pointer();
        }
        if !self.take(")") {
            return Err(self.expected("')' behind a type"));
        }
        Ok(Some(type_))
    }
}
