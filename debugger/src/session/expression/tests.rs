use proptest::prelude::*;

use super::*;

/// `main` at 0x1000, a long `jiffies` = 42 at 0x2000, an array at 0x3000; memory holds its own addresses' low bytes.
struct Fake;

impl Environment for Fake {
    fn register(&mut self, name: &str) -> Result<u64, ExpressionError> {
        match name {
            "rip" | "pc" => Ok(0x1004),
            "rax" => Ok(u64::MAX),
            _ => Err(ExpressionError::NoRegister(name.to_owned())),
        }
    }

    fn name(&mut self, origin: Option<&str>, name: &str) -> Result<Value, ExpressionError> {
        let (bits, type_, at) = match (origin, name) {
            (None, "main") => (Some(0x1000), Type::Function, 0x1000),
            (None, "jiffies") => (Some(42), Type::unsigned_long(), 0x2000),
            (Some("app"), "table") => (None, Type::Other("int [4]".to_owned()), 0x3000),
            _ => return Err(ExpressionError::NoName(name.to_owned())),
        };
        let mut value = Value::of(0, type_);
        (value.bits, value.at) = (bits, Some(Addr(at)));
        Ok(value)
    }

    fn read(&mut self, at: Addr, bytes: &mut [u8]) -> Result<(), ExpressionError> {
        if at.0 >= 0x10000 {
            return Err(ExpressionError::Unreadable {
                at,
                why: "no page".to_owned(),
            });
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = (at.0 + i as u64).to_le_bytes()[0];
        }
        Ok(())
    }

    fn size_of(&mut self, type_: &Type) -> Option<u64> {
        match type_ {
            Type::Other(name) if name == "struct file" => Some(232),
            Type::Array(of, count) => self.size_of(of)?.checked_mul(*count),
            other => other.size().map(u64::from),
        }
    }

    fn repeat(&mut self, value: &Value, count: u64) -> Result<Value, ExpressionError> {
        let none = || ExpressionError::NoAddress(value.type_.to_string());
        let at = value.at.ok_or_else(none)?;
        let size = self.size_of(&value.type_).filter(|size| *size <= 8);
        let size = size.ok_or_else(|| ExpressionError::NoSize(value.type_.to_string()))?;
        let mut parts = Vec::new();
        for i in 0..count {
            let mut bytes = [0; 8];
            self.read(at + i * size, &mut bytes[..usize::try_from(size).unwrap()])?;
            let part = Value::of(
                value.type_.extend(u64::from_le_bytes(bytes)),
                value.type_.clone(),
            );
            parts.push(print(&part, self));
        }
        let mut array = Value::unknown(Type::Array(Box::new(value.type_.clone()), count));
        array.at = value.at;
        array.text = Some(format!("{{{}}}", parts.join(", ")));
        Ok(array)
    }

    fn call(&mut self, name: &str, arguments: &[Given]) -> Result<Value, ExpressionError> {
        match (name, arguments) {
            ("container_of", [Given::Value(of), Given::Type(_), Given::Path(path)]) => {
                let offset = self.offset_of(&Type::Void, path)?;
                Ok(Value::of(
                    of.bits.unwrap_or(0).wrapping_sub(offset),
                    Type::Void.pointer(),
                ))
            }
            _ => Err(ExpressionError::NoName(name.to_owned())),
        }
    }

    fn offset_of(&mut self, _type: &Type, path: &str) -> Result<u64, ExpressionError> {
        match path {
            "f_path.dentry" => Ok(0x18),
            other => Err(ExpressionError::Member(other.to_owned())),
        }
    }

    fn near(&mut self, at: Addr) -> Option<String> {
        (at.0 == 0x1004).then(|| "<main+4>".to_owned())
    }
}

fn value(text: &str) -> Result<Value, ExpressionError> {
    evaluate(&parse(text)?, &mut Fake)
}

fn bits(text: &str) -> u64 {
    value(text).unwrap().bits.unwrap()
}

fn shown(text: &str) -> String {
    print(&value(text).unwrap(), &mut Fake)
}

#[test]
fn operators_bind_as_in_c() {
    for (text, expected) in [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("1 << 4 | 1", 17),
        ("0x10 & ~1", 16),
        ("1 < 2 && 2 < 1 || 3 == 3", 1),
        ("!5", 0),
        ("017", 15),
        ("'x'", 120),
        ("10 % 4", 2),
        ("0 && 1/0", 0),
    ] {
        assert_eq!(bits(text), expected, "{text}");
    }
}

#[test]
fn sizes_and_places_of_types_are_numbers() {
    for (text, expected) in [
        ("sizeof(int)", 4),
        ("sizeof(unsigned long) * 2", 16),
        ("sizeof(char **)", 8),
        ("sizeof(jiffies)", 8),
        ("sizeof(u16)", 2),
        ("offsetof(struct file, f_path.dentry) + 1", 0x19),
        ("container_of(0x1018, struct file, f_path.dentry)", 0x1000),
    ] {
        assert_eq!(bits(text), expected, "{text}");
    }
    let container = value("container_of(&jiffies, struct file, f_path.dentry)").unwrap();
    assert_eq!(container.type_, Type::named("struct file *"));
    assert_eq!(bits("(struct file *)0x1000 + 2"), 0x1000 + 2 * 232);
    let said = |text: &str| value(text).unwrap_err().to_string();
    assert_eq!(
        said("sizeof(nothing)"),
        "no symbol or variable is named nothing"
    );
    assert_eq!(
        said("sizeof(struct nothing)"),
        "the size of struct nothing is not known"
    );
    assert!(said("offsetof(struct file)").contains("','"));
    assert!(said("jiffies@0").contains("from 1 to 200"));
}

#[test]
fn a_name_may_say_its_file() {
    let named = |file: &str| {
        Ok(Tree::Name {
            origin: Some(file.to_owned()),
            name: "fops".to_owned(),
        })
    };
    assert_eq!(parse("read_write.c::fops"), named("read_write.c"));
    assert_eq!(parse("'fs/read_write.c'::fops"), named("fs/read_write.c"));
    assert_eq!(parse("'x' + 1"), parse("120 + 1"));
    assert!(parse("read_write.c::").is_err());
}

#[test]
fn signs_and_sizes_are_kept() {
    assert_eq!(shown("-1"), "-1");
    assert_eq!(shown("(unsigned char)-1"), "255 '\\377'");
    assert_eq!(shown("(int)0xffffffff"), "-1");
    assert_eq!(shown("-7 / 2"), "-3");
    assert_eq!(shown("$rax"), "-1");
    assert_eq!(bits("$rax > 1"), 0);
    assert_eq!(bits("(unsigned long)$rax > 1"), 1);
    assert_eq!(shown("0xffffffff81000000"), "18446744071578845184");
}

#[test]
fn names_registers_and_memory_are_read() {
    assert_eq!(shown("jiffies"), "42");
    assert_eq!(shown("&jiffies"), "0x2000");
    assert_eq!(bits("main + 4"), 0x1004);
    assert_eq!(shown("$rip"), "0x1004 <main+4>");
    assert_eq!(shown("*(unsigned short *)0x1234"), "13620");
    assert_eq!(bits("*(u8 *)0x1234"), 0x34);
    assert_eq!(bits("(int *)0x1000 + 2"), 0x1008);
    assert_eq!(bits("app:table + 4"), 0x3004);
    assert_eq!(shown("(char *)0x1041").split(' ').next(), Some("0x1041"));
    assert_eq!(letter(0xfe, 1, 'd', &mut Fake), "-2");
    assert_eq!(letter(8, 8, 'o', &mut Fake), "010");
    assert_eq!(letter(8, 4, 'z', &mut Fake), "0x00000008");
}

#[test]
fn errors_say_what_stands_where() {
    let said = |text| value(text).unwrap_err().to_string();
    assert_eq!(said("1 +"), "'the end' stands where a value was expected");
    assert_eq!(
        said("1 2"),
        "'2' stands where an operator or the end was expected"
    );
    assert_eq!(said("nothing"), "no symbol or variable is named nothing");
    assert_eq!(
        said("*(long *)0x10000"),
        "nothing can be read at 0x10000: no page"
    );
    assert_eq!(said("1/0"), "division by zero");
    assert_eq!(said("&1"), "1 does not lie in memory, so it has no address");
    assert_eq!(
        said("*(struct file *)1"),
        "what it points at is of type struct file, which cannot be read: cast it first, as in *(long *)…"
    );
    assert_eq!(said(&"(".repeat(500)), "it is nested more than 64 deep");
    assert!(value("").is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[0-9a-z$()*&+/<>%!~ :'é-]{0,24}") {
        if let Ok(value) = value(&text) {
            print(&value, &mut Fake);
            if let Some(bits) = value.bits {
                letter(bits, 8, 'x', &mut Fake);
            }
        }
    }
}

#[test]
fn c_is_complete() {
    for (text, expected) in [
        ("jiffies == 42 ? 1 : 2", 1),
        ("0 ? 1 : 0 ? 2 : 3", 3),
        ("1 ? jiffies : main", 42),
        ("1.5 + 1 == 2.5", 1),
        ("(int)2.9", 2),
        ("(unsigned char)300.0", 44),
        ("!0.0", 1),
        ("1.0 && 0.0", 0),
        ("(u32)1 << 31 >> 31", 1),
        ("(u32)0xffffffff << 4", 0xffff_fff0),
        ("-8 >> 1 == -4", 1),
        ("1 << 64", 0),
        ("'\\n'", 10),
        ("sizeof(char[16])", 16),
        ("sizeof(char *[4])", 32),
        ("sizeof jiffies", 8),
        ("sizeof(int[2][3])", 24),
        ("\"a\" == \"a\"", 1),
        ("\"a\" != \"a\"", 0),
        ("{unsigned short}0x1234 == 0x3534", 1),
        ("$container_of(0x1018, struct file, f_path.dentry)", 0x1000),
    ] {
        assert_eq!(bits(text), expected, "{text}");
    }
    assert_eq!(shown("7 / 2.0"), "3.5");
    assert_eq!(shown("(float)0.1"), "0.1");
    assert_eq!(shown("-1.5"), "-1.5");
    assert_eq!(shown("(int[2])jiffies"), "{50462976, 117835012}");
    assert_eq!(
        value("(char (*)[16])0x1000").unwrap().type_.to_string(),
        "char (*)[16]"
    );
    let said = |text: &str| value(text).unwrap_err().to_string();
    assert_eq!(said("1 ? 2"), "'the end' stands where ':' was expected");
    assert_eq!(
        said("$nothing(1)"),
        "there is no function $nothing; there is: list, hlist, rbtree, xarray, maple, container_of, percpu, len"
    );
    assert_eq!(said("5 = 6"), "int is no place that can be assigned to");
    assert!(said("\"open").contains("closing quotation mark"));
    assert_eq!(said(&"a = ".repeat(500)), "it is nested more than 64 deep");
}

#[test]
fn assignments_are_told_from_comparisons() {
    for (text, assigns) in [
        ("a = 1", true),
        ("a == 1", false),
        ("(a += 2) > 1", true),
        ("a <= 1", false),
        ("a >= 1", false),
        ("a >>= 1", true),
        ("a ? b = 1 : 2", true),
        ("x[i = 2]", true),
    ] {
        assert_eq!(
            parse(text).is_ok_and(|tree| tree.assigns()),
            assigns,
            "{text}"
        );
    }
    let Ok(Tree::Assign(Some("+"), _, _)) = parse("a += 1") else {
        panic!("it is an assignment");
    };
}

proptest! {
    #[test]
    fn no_expression_makes_it_panic(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("jiffies"), Just("$rax"), Just("1.5"), Just("1"), Just("("), Just(")"),
                Just("*"), Just("&"), Just("?"), Just(":"), Just("="), Just("=="), Just("<<"),
                Just("int"), Just("struct"), Just("char"), Just("["), Just("]"), Just("{"),
                Just("}"), Just("\"a\\"), Just("\""), Just("$len"), Just(","), Just("@"),
                Just("-"), Just("."), Just("->"), Just("::"), Just("sizeof"), Just("'"),
                Just("$container_of("), Just("0x7fffffffffffffff"), Just("$$"), Just("e"),
            ],
            0..12,
        )
    ) {
        let text = parts.join(" ");
        if let Ok(value) = value(&text) {
            print(&value, &mut Fake);
        }
        let _ = parse(&parts.concat());
    }
}
