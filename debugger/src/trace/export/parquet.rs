//! Two tables as Apache Parquet: the classes of crossings, and the functions of their paths.
//!
//! Columns are never renamed or removed; new ones come at the end. Counts are signed, as few systems know
//! unsigned ones. `run` and `class` number the runs of the recording and the classes of a run from 0: they
//! join the two tables of one folder. Over many folders `image`, `build_id`, `mode` and `class_id` do.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::{ExportError, Source};
use crate::trace::recording::Recording;
use crate::trace::report::{Class, Node, Report};

const LEVEL: i32 = 3;

/// A class of crossings, and where it is.
struct Crossing<'a> {
    recording: &'a Recording,
    run: usize,
    report: &'a Report,
    number: usize,
    class: &'a Class,
}

/// A function of a path, numbered in the order of execution.
struct Step<'a> {
    crossing: &'a Crossing<'a>,
    number: usize,
    parent: Option<usize>,
    depth: usize,
    node: &'a Node,
}

/// A column by name, and what it holds of a row.
type Column<Row> = (&'static str, Get<Row>);

/// How a value is got of a row; also its type.
enum Get<Row> {
    Text(fn(&Row) -> &str),
    /// One of few texts that have to be made.
    Name(fn(&Row) -> String),
    MaybeText(fn(&Row) -> Option<&str>),
    Bool(fn(&Row) -> bool),
    Int(fn(&Row) -> usize),
    MaybeInt(fn(&Row) -> Option<usize>),
    Count(fn(&Row) -> u64),
}

/// `crossings.parquet`: a row for each class of each run.
fn of_crossings<'a>() -> Vec<Column<Crossing<'a>>> {
    vec![
        ("image", Get::Text(|row| &row.recording.head.image)),
        ("build_id", Get::Text(|row| &row.recording.head.build_id)),
        ("run", Get::Int(|row| row.run)),
        ("mode", Get::Name(|row| row.report.mode.to_string())),
        ("engine", Get::Text(|row| &row.report.engine)),
        ("lost", Get::Count(|row| row.report.lost)),
        ("class", Get::Int(|row| row.number)),
        ("class_id", Get::Text(|row| &row.class.id)),
        ("kind", Get::Text(|row| row.class.kind.name())),
        ("call", Get::Text(|row| &row.class.call)),
        ("count", Get::Count(|row| row.class.count)),
        ("instructions", Get::Count(|row| row.class.instructions)),
        ("exact", Get::Bool(|row| row.class.exact)),
        ("min", Get::Count(|row| row.class.min)),
        ("max", Get::Count(|row| row.class.max)),
        ("interrupted", Get::Bool(|row| row.class.interrupted)),
        ("entry", Get::Count(|row| row.class.phases.entry)),
        ("entry_work", Get::Count(|row| row.class.phases.entry_work)),
        ("dispatch", Get::Count(|row| row.class.phases.dispatch)),
        ("copy", Get::Count(|row| row.class.phases.copy)),
        ("service", Get::Count(|row| row.class.phases.service)),
        ("exit_work", Get::Count(|row| row.class.phases.exit_work)),
        ("exit", Get::Count(|row| row.class.phases.exit)),
        ("written_by", Get::Text(|row| &row.recording.head.tool)),
    ]
}

/// `path_nodes.parquet`: a row for each function of each class's path.
fn of_path_nodes<'a>() -> Vec<Column<Step<'a>>> {
    vec![
        ("image", Get::Text(|row| &row.crossing.recording.head.image)),
        (
            "build_id",
            Get::Text(|row| &row.crossing.recording.head.build_id),
        ),
        ("run", Get::Int(|row| row.crossing.run)),
        (
            "mode",
            Get::Name(|row| row.crossing.report.mode.to_string()),
        ),
        ("class", Get::Int(|row| row.crossing.number)),
        ("class_id", Get::Text(|row| &row.crossing.class.id)),
        ("kind", Get::Text(|row| row.crossing.class.kind.name())),
        ("call", Get::Text(|row| &row.crossing.class.call)),
        ("count", Get::Count(|row| row.crossing.class.count)),
        ("exact", Get::Bool(|row| row.crossing.class.exact)),
        ("node", Get::Int(|row| row.number)),
        ("parent", Get::MaybeInt(|row| row.parent)),
        ("depth", Get::Int(|row| row.depth)),
        ("symbol", Get::Text(|row| &row.node.symbol)),
        ("origin", Get::Name(|row| row.node.origin.to_string())),
        ("file", Get::MaybeText(|row| row.node.file.as_deref())),
        ("own", Get::Count(|row| row.node.own)),
        ("total", Get::Count(|row| row.node.total)),
        ("calls", Get::Count(|row| row.node.calls)),
    ]
}

pub(super) fn crossings(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let rows = classes(source.recording);
    table("crossings", &of_crossings(), &rows, out)
}

pub(super) fn path_nodes(source: &Source<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
    let classes = classes(source.recording);
    let mut rows = Vec::new();
    for crossing in &classes {
        let first = rows.len();
        steps(crossing, &crossing.class.path, None, 0, first, &mut rows);
    }
    table("path_nodes", &of_path_nodes(), &rows, out)
}

fn classes(recording: &Recording) -> Vec<Crossing<'_>> {
    let mut rows = Vec::new();
    for (run, report) in recording.runs.iter().enumerate() {
        rows.extend((0..).zip(&report.classes).map(|(number, class)| Crossing {
            recording,
            run,
            report,
            number,
            class,
        }));
    }
    rows
}

fn steps<'a>(
    crossing: &'a Crossing<'a>,
    node: &'a Node,
    parent: Option<usize>,
    depth: usize,
    first: usize,
    rows: &mut Vec<Step<'a>>,
) {
    let number = rows.len() - first;
    rows.push(Step {
        crossing,
        number,
        parent,
        depth,
        node,
    });
    for child in &node.children {
        steps(crossing, child, Some(number), depth + 1, first, rows);
    }
}

fn table<Row>(
    name: &str,
    columns: &[Column<Row>],
    rows: &[Row],
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let fields: String = columns.iter().map(|(name, get)| get.field(name)).collect();
    let schema = Arc::new(parse_message_type(&format!(
        "message {name} {{ {fields}}}"
    ))?);
    let said = [
        ("unit", "instructions, never time"),
        ("uklscope.schema", "1"),
    ];
    let said = said.map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_dictionary_enabled(true)
        .set_key_value_metadata(Some(said.into()))
        .build();
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for (name, get) in columns {
        // The schema was made of these very columns.
        if let Some(mut column) = group.next_column()? {
            get.write(name, rows, &mut column)?;
            column.close()?;
        }
    }
    group.close()?;
    file.close()?;
    out.write_all(&bytes)?;
    Ok(())
}

impl<Row> Get<Row> {
    fn field(&self, name: &str) -> String {
        let (optional, kind) = match self {
            Self::Text(_) | Self::Name(_) => ("REQUIRED", "BYTE_ARRAY"),
            Self::MaybeText(_) => ("OPTIONAL", "BYTE_ARRAY"),
            Self::Bool(_) => ("REQUIRED", "BOOLEAN"),
            Self::Int(_) => ("REQUIRED", "INT32"),
            Self::MaybeInt(_) => ("OPTIONAL", "INT32"),
            Self::Count(_) => ("REQUIRED", "INT64"),
        };
        let text = if kind == "BYTE_ARRAY" {
            " (STRING)"
        } else {
            ""
        };
        format!("{optional} {kind} {name}{text}; ")
    }

    fn write(
        &self,
        name: &'static str,
        rows: &[Row],
        column: &mut SerializedColumnWriter<'_>,
    ) -> Result<(), ExportError> {
        let rows = rows.iter();
        match self {
            Self::Text(get) => whole::<ByteArrayType>(column, rows.map(|row| Ok(get(row).into()))),
            Self::Name(get) => {
                let texts = rows.map(|row| Ok(get(row).into_bytes().into()));
                whole::<ByteArrayType>(column, texts)
            }
            Self::MaybeText(get) => {
                let texts = rows.map(|row| Ok(get(row).map(ByteArray::from)));
                partial::<ByteArrayType>(column, texts)
            }
            Self::Bool(get) => whole::<BoolType>(column, rows.map(|row| Ok(get(row)))),
            Self::Int(get) => whole::<Int32Type>(column, rows.map(|row| int(name, get(row)))),
            Self::MaybeInt(get) => {
                let ints = rows.map(|row| get(row).map(|value| int(name, value)).transpose());
                partial::<Int32Type>(column, ints)
            }
            Self::Count(get) => whole::<Int64Type>(
                column,
                rows.map(|row| {
                    let value = get(row);
                    let too_large = |_| ExportError::TooLarge { what: name, value };
                    i64::try_from(value).map_err(too_large)
                }),
            ),
        }
    }
}

fn int(what: &'static str, value: usize) -> Result<i32, ExportError> {
    i32::try_from(value).map_err(|_| ExportError::TooLarge {
        what,
        value: value as u64,
    })
}

fn whole<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: impl Iterator<Item = Result<T::T, ExportError>>,
) -> Result<(), ExportError> {
    let values: Vec<T::T> = values.collect::<Result<_, _>>()?;
    column.typed::<T>().write_batch(&values, None, None)?;
    Ok(())
}

/// A definition level of 1 says that a row has a value.
fn partial<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: impl Iterator<Item = Result<Option<T::T>, ExportError>>,
) -> Result<(), ExportError> {
    let values: Vec<Option<T::T>> = values.collect::<Result<_, _>>()?;
    let levels: Vec<i16> = values
        .iter()
        .map(|value| i16::from(value.is_some()))
        .collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    column
        .typed::<T>()
        .write_batch(&values, Some(&levels), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;
    use crate::trace::export::example::recording;

    #[test]
    fn own_instructions_of_a_class_add_up_and_nodes_name_their_callers() {
        let mut file = tempfile::tempfile().unwrap();
        path_nodes(&Source::of(&recording()), &mut file).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows: Vec<_> = reader
            .get_row_iter(None)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let at = |name: &str| {
            of_path_nodes()
                .iter()
                .position(|(of, _)| *of == name)
                .unwrap()
        };
        let long = |name: &str| -> Vec<i64> {
            rows.iter()
                .map(|row| row.get_long(at(name)).unwrap())
                .collect()
        };
        assert_eq!(long("own"), [5, 3, 0, 3, 3]);
        assert_eq!(long("total").first(), Some(&14));
        let parents: Vec<Option<i32>> = rows
            .iter()
            .map(|row| row.get_int(at("parent")).ok())
            .collect();
        assert_eq!(parents, [None, Some(0), Some(0), Some(2), Some(2)]);
        let symbol = rows[2].get_string(at("symbol")).unwrap();
        assert_eq!(symbol, "a;b, \"c\"");
    }
}
