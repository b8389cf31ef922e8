//! Parquet tables from plain columns.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::columns::{Column, Kind};
use crate::exchange::ExchangeError;
use crate::exchange::error::write_error;

/// A column ready to be written.
pub(super) type Named = (String, ArrayRef);

/// Whole numbers.
pub(super) fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// 64-bit floats.
pub(super) fn floats(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

/// Strings.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Lists of `width` items each.
pub(super) fn lists(items: ArrayRef, width: usize) -> Result<ArrayRef, ArrowError> {
    let rows = items.len() / width.max(1);
    let field = Arc::new(Field::new("element", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(width, rows));
    Ok(Arc::new(ListArray::try_new(field, offsets, items, None)?))
}

/// A column of steps: plain numbers, or lists of a fixed size.
pub(super) fn numbers(column: &Column) -> Result<ArrayRef, ArrowError> {
    let values = column.values.iter().copied();
    let items: ArrayRef = match column.kind {
        Kind::F32 => Arc::new(Float32Array::from_iter_values(values.map(|v| v as f32))),
        Kind::F64 => floats(values),
        Kind::I64 => integers(values.map(|v| v as i64)),
    };
    if column.names.is_none() {
        return Ok(items);
    }
    // None of our columns has more than 2^31 numbers a step.
    let width = i32::try_from(column.width).unwrap_or(i32::MAX);
    let field = Arc::new(Field::new("element", items.data_type().clone(), true));
    Ok(Arc::new(FixedSizeListArray::try_new(field, width, items, None)?))
}

/// Image files as `datasets` embeds them: bytes and a name.
pub(super) fn pictures(files: Vec<Vec<u8>>, ending: &str) -> ArrayRef {
    let names: Vec<String> = (0..files.len()).map(|index| format!("frame-{index:06}.{ending}")).collect();
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(files));
    let names: ArrayRef = Arc::new(StringArray::from(names));
    let fields =
        Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]);
    Arc::new(StructArray::new(fields, vec![bytes, names], None))
}

/// A parquet file, a row group per call of [`Table::add`].
pub(super) struct Table {
    path: std::path::PathBuf,
    metadata: Vec<(String, String)>,
    writer: Option<ArrowWriter<File>>,
}

impl Table {
    /// A table with key-value metadata; the first columns added decide the schema.
    pub fn create(path: &Path, metadata: Vec<(String, String)>) -> Result<Self, ExchangeError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(write_error(folder))?;
        }
        Ok(Self { path: path.to_path_buf(), metadata, writer: None })
    }

    /// Writes these rows.
    pub fn add(&mut self, columns: Vec<Named>) -> Result<(), ExchangeError> {
        let path = self.path.clone();
        let failed = |error: String| write_error(&path)(std::io::Error::other(error));
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
        let metadata: HashMap<String, String> = self.metadata.iter().cloned().collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|error| failed(error.to_string()))?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let metadata = self.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_created_by(concat!("visuomotor ", env!("CARGO_PKG_VERSION")).into())
                    .set_key_value_metadata(Some(metadata.collect()))
                    .build();
                let file = File::create_new(&path).map_err(write_error(&path))?;
                let writer = ArrowWriter::try_new(file, schema, Some(properties));
                none.insert(writer.map_err(|error| failed(error.to_string()))?)
            }
        };
        writer.write(&batch).and_then(|()| writer.flush()).map_err(|error| failed(error.to_string()))
    }

    /// Ends the file.
    pub fn finish(self) -> Result<(), ExchangeError> {
        let path = self.path;
        let Some(writer) = self.writer else { return Ok(()) };
        writer.close().map(drop).map_err(|error| write_error(&path)(std::io::Error::other(error)))
    }
}
