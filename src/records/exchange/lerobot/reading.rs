//! Typed columns from an untrusted parquet file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::pages::{Unfit, largest_page};
use crate::exchange::ExchangeError;
use crate::exchange::error::{DAMAGED, TOO_LARGE, UNSUPPORTED, read_error, source_error};
use visuomotor_core::untrusted;

/// Rows read at a time: few, because each may contain images.
const ROWS: usize = 64;
/// Fewer, where a single value could be so large that they would exceed this \[bytes\].
const LARGEST_BATCH: u64 = 64 << 20;
/// Largest table read \[bytes\]; LeRobot starts a new file at 100 MB.
const LARGEST_TABLE: u64 = 16 << 30;
/// Largest footer of a table \[bytes\]: parsed, it takes a hundred times the memory. An episode of ours takes 3 kB of it.
const LARGEST_FOOTER: u64 = 16 << 20;

/// A parquet file: some of its columns, some rows at a time.
pub(super) struct Rows {
    path: PathBuf,
    /// `None` after the last row.
    reader: Option<ParquetRecordBatchReader>,
    /// Names of all columns of the file.
    pub columns: Vec<String>,
    /// Rows that the file announces.
    pub announced: i64,
}

impl Rows {
    /// Opens a file for the `needed` columns and for the `wished` columns that exist.
    pub fn open(root: &Path, path: &Path, needed: &[&str], wished: &[&str]) -> Result<Self, ExchangeError> {
        Self::open_rows(root, path, needed, wished, None)
    }

    /// The same for a range of rows: the first, and how many.
    pub fn open_part(
        root: &Path,
        path: &Path,
        needed: &[&str],
        wished: &[&str],
        part: (u64, u64),
    ) -> Result<Self, ExchangeError> {
        Self::open_rows(root, path, needed, wished, Some(part))
    }

    fn open_rows(
        root: &Path,
        path: &Path,
        needed: &[&str],
        wished: &[&str],
        part: Option<(u64, u64)>,
    ) -> Result<Self, ExchangeError> {
        let file = untrusted::open_inside(root, path).map_err(read_error(path))?;
        let length = untrusted::length_of(&file, LARGEST_TABLE).map_err(read_error(path))?;
        let opened = guarded(path, || {
            check_footer(&file, length)?;
            let twin = file.try_clone().map_err(|error| Unfit::Damaged(error.to_string()))?;
            let builder = ParquetRecordBatchReaderBuilder::try_new(twin).map_err(unfit)?;
            let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
            let places: Vec<Option<usize>> =
                needed.iter().map(|key| names.iter().position(|name| name == key)).collect();
            if let Some(missing) = places.iter().position(Option::is_none) {
                return Ok(Err(needed[missing]));
            }
            let more = wished.iter().filter_map(|key| names.iter().position(|name| name == key));
            let mask = ProjectionMask::roots(builder.parquet_schema(), places.into_iter().flatten().chain(more));
            let announced = builder.metadata().file_metadata().num_rows();
            let largest = largest_page(&file, builder.metadata(), &mask)?;
            let rows = (LARGEST_BATCH / largest.max(1)).clamp(1, ROWS as u64) as usize;
            let mut builder = builder.with_projection(mask).with_batch_size(rows);
            if let Some((first, count)) = part {
                let [first, count] = [first, count].map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
                builder = builder.with_offset(first).with_limit(count);
            }
            let reader = builder.build();
            reader.map(|reader| Ok((reader, names, announced))).map_err(unfit)
        })?;
        match opened {
            Ok((reader, columns, announced)) => {
                Ok(Self { path: path.to_path_buf(), reader: Some(reader), columns, announced })
            }
            Err(missing) => {
                let fix = "the data set lacks what the format requires: fetch it again, or repair it";
                Err(source_error(path, missing, "no such column", "a column of this name", fix))
            }
        }
    }

    /// The next rows; `None` after the last.
    pub fn next(&mut self) -> Result<Option<Batch>, ExchangeError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let batch =
            guarded(&self.path, || reader.next().transpose().map_err(|error| Unfit::Damaged(error.to_string())));
        if !matches!(batch, Ok(Some(_))) {
            self.reader = None;
        }
        Ok(batch?.map(|batch| Batch { path: self.path.clone(), batch }))
    }
}

/// Runs the parquet library on untrusted bytes: on some damaged files it panics instead of returning an error.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, Unfit>) -> Result<T, ExchangeError> {
    let outcome = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Unfit::Damaged("its bytes contradict each other".into())));
    outcome.map_err(|unfit| {
        let (found, expected, fix) = match unfit {
            Unfit::Damaged(found) => (found, "a readable parquet file", DAMAGED),
            Unfit::TooLarge(found) => (found, "pages of at most 64 MiB and 4194304 values", TOO_LARGE),
            Unfit::Unsupported(found) => {
                (found, "columns without compression, or with snappy, gzip, brotli, lz4 or zstd", UNSUPPORTED)
            }
        };
        source_error(path, "parquet", found, expected, fix)
    })
}

fn unfit(error: parquet::errors::ParquetError) -> Unfit {
    match error {
        parquet::errors::ParquetError::NYI(found) => Unfit::Unsupported(found),
        other => Unfit::Damaged(other.to_string()),
    }
}

/// The file's last eight bytes: the length of its footer and `PAR1`.
fn check_footer(file: &File, length: u64) -> Result<(), Unfit> {
    let mut end = [0; 8];
    // The library refuses a file without such an end.
    let Some(at) = length.checked_sub(end.len() as u64) else { return Ok(()) };
    file.read_exact_at(&mut end, at).map_err(|error| Unfit::Damaged(error.to_string()))?;
    let announced = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    match &end[4..] {
        b"PAR1" if announced > LARGEST_FOOTER && announced < length => {
            Err(Unfit::TooLarge(format!("a description of {announced} bytes")))
        }
        _ => Ok(()),
    }
}

/// Some rows of a file.
pub(super) struct Batch {
    path: PathBuf,
    batch: RecordBatch,
}

impl Batch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    fn refuse(&self, key: &str, found: impl ToString, expected: &str) -> ExchangeError {
        source_error(
            &self.path,
            key,
            found,
            expected,
            "repair the data set, or write the column again as LeRobot v3.0 does",
        )
    }

    /// Is there such a column?
    pub fn has(&self, key: &str) -> bool {
        self.batch.column_by_name(key).is_some()
    }

    fn column(&self, key: &str) -> Result<&ArrayRef, ExchangeError> {
        let column = self.batch.column_by_name(key);
        let column = column.ok_or_else(|| self.refuse(key, "no such column", "a column of this name"))?;
        match column.null_count() {
            0 => Ok(column),
            count => Err(self.refuse(key, format!("{count} missing values"), "a value in every row")),
        }
    }

    /// One number per row.
    pub fn numbers(&self, key: &str) -> Result<Vec<f64>, ExchangeError> {
        let column = self.column(key)?;
        let numbers = plain(column);
        numbers.ok_or_else(|| self.refuse(key, column.data_type(), "a number per row"))
    }

    /// One whole number per row, at least 0.
    pub fn counts(&self, key: &str) -> Result<Vec<u64>, ExchangeError> {
        let whole = |v: f64| ((0.0..9e15).contains(&v) && v.fract() == 0.0).then_some(v as u64);
        self.numbers(key)?
            .into_iter()
            .map(|v| whole(v).ok_or_else(|| self.refuse(key, v, "a whole number, at least 0")))
            .collect()
    }

    /// A list of `width` numbers per row.
    pub fn vectors(&self, key: &str, width: usize) -> Result<Vec<Vec<f64>>, ExchangeError> {
        let column = self.column(key)?;
        let expected = format!("{width} numbers per row");
        let wrong = |found: String| self.refuse(key, found, &expected);
        (0..column.len())
            .map(|row| {
                let list = match column.data_type() {
                    DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
                    DataType::List(_) => column.as_list::<i32>().value(row),
                    DataType::LargeList(_) => column.as_list::<i64>().value(row),
                    other => return Err(wrong(other.to_string())),
                };
                let numbers = plain(&list).ok_or_else(|| wrong(list.data_type().to_string()))?;
                match numbers.len() == width && list.null_count() == 0 {
                    true => Ok(numbers),
                    false => Err(wrong(format!("{} numbers", numbers.len() - list.null_count()))),
                }
            })
            .collect()
    }

    /// One string per row.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, ExchangeError> {
        let column = self.column(key)?;
        strings(column).ok_or_else(|| self.refuse(key, column.data_type(), "a string per row"))
    }

    /// The strings of a list per row.
    pub fn text_lists(&self, key: &str) -> Result<Vec<Vec<String>>, ExchangeError> {
        let column = self.column(key)?;
        (0..column.len())
            .map(|row| {
                let list = match column.data_type() {
                    DataType::List(_) => column.as_list::<i32>().value(row),
                    DataType::LargeList(_) => column.as_list::<i64>().value(row),
                    other => return Err(self.refuse(key, other, "a list of strings per row")),
                };
                strings(&list).ok_or_else(|| self.refuse(key, list.data_type(), "a list of strings per row"))
            })
            .collect()
    }

    /// The bytes of an embedded file per row.
    pub fn files(&self, key: &str) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let column = self.column(key)?;
        let expected = "a struct with the `bytes` of an image file";
        let DataType::Struct(_) = column.data_type() else {
            return Err(self.refuse(key, column.data_type(), expected));
        };
        let bytes = column.as_struct().column_by_name("bytes").filter(|bytes| bytes.null_count() == 0);
        let bytes = bytes.ok_or_else(|| self.refuse(key, "rows without `bytes`", expected))?;
        match bytes.data_type() {
            DataType::Binary => Ok(bytes.as_binary::<i32>().iter().flatten().map(<[u8]>::to_vec).collect()),
            DataType::LargeBinary => Ok(bytes.as_binary::<i64>().iter().flatten().map(<[u8]>::to_vec).collect()),
            DataType::BinaryView => Ok(bytes.as_binary_view().iter().flatten().map(<[u8]>::to_vec).collect()),
            other => Err(self.refuse(key, other, expected)),
        }
    }
}

fn strings(column: &ArrayRef) -> Option<Vec<String>> {
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().iter().map(|s| s.unwrap_or_default().to_string()).collect()),
        DataType::LargeUtf8 => {
            Some(column.as_string::<i64>().iter().map(|s| s.unwrap_or_default().to_string()).collect())
        }
        DataType::Utf8View => Some(column.as_string_view().iter().map(|s| s.unwrap_or_default().to_string()).collect()),
        _ => None,
    }
}

/// The numbers of a primitive column.
fn plain(column: &ArrayRef) -> Option<Vec<f64>> {
    fn of<T: ArrowPrimitiveType>(column: &ArrayRef, number: impl Fn(T::Native) -> f64) -> Option<Vec<f64>> {
        Some(column.as_primitive::<T>().values().iter().map(|v| number(*v)).collect())
    }
    match column.data_type() {
        DataType::Float64 => of::<Float64Type>(column, |v| v),
        DataType::Float32 => of::<Float32Type>(column, f64::from),
        DataType::Float16 => of::<Float16Type>(column, |v| v.to_f64()),
        DataType::Int64 => of::<Int64Type>(column, |v| v as f64),
        DataType::Int32 => of::<Int32Type>(column, f64::from),
        DataType::Int16 => of::<Int16Type>(column, f64::from),
        DataType::Int8 => of::<Int8Type>(column, f64::from),
        DataType::UInt64 => of::<UInt64Type>(column, |v| v as f64),
        DataType::UInt32 => of::<UInt32Type>(column, f64::from),
        DataType::UInt16 => of::<UInt16Type>(column, f64::from),
        DataType::UInt8 => of::<UInt8Type>(column, f64::from),
        _ => None,
    }
}
