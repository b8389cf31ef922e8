//! The numbers of numpy's arrays.

use super::value::{ArrayReference, Id, NumberFormat, Value, Values};

impl Values {
    /// Shape and numbers, row-major, of an array, of a number (shape `[]`), or of a list of these with equal shapes; the error
    /// is a sentence without file name. `limit` bounds the count of numbers, since lists may repeat one array.
    pub fn numbers(&self, id: Id, limit: usize) -> Result<(Vec<usize>, Vec<f64>), String> {
        match self.get(id) {
            Value::List(items) | Value::Tuple(items) => {
                let mut all = Vec::new();
                let mut shape = None;
                for item in items {
                    // Lists of lists of numbers are the deepest supported.
                    let (inner, numbers) = match self.get(*item) {
                        Value::List(_) | Value::Tuple(_) => self.flat(*item, limit)?,
                        _ => self.one(*item, limit)?,
                    };
                    if shape.get_or_insert_with(|| inner.clone()) != &inner {
                        return Err(format!("a list of unequal shapes: {shape:?} and {inner:?}"));
                    }
                    all.extend(numbers);
                    if all.len() > limit {
                        return Err(format!("more than {limit} numbers"));
                    }
                }
                Ok(([vec![items.len()], shape.unwrap_or_default()].concat(), all))
            }
            _ => self.one(id, limit),
        }
    }

    /// A list or tuple of plain numbers.
    fn flat(&self, id: Id, limit: usize) -> Result<(Vec<usize>, Vec<f64>), String> {
        let items = self.items(id).unwrap_or_default();
        if items.len() > limit {
            return Err(format!("more than {limit} numbers"));
        }
        let numbers = items.iter().map(|item| match self.one(*item, 1)? {
            (shape, numbers) if shape.is_empty() => Ok(numbers[0]),
            (shape, _) => Err(format!("an array of shape {shape:?} three levels deep")),
        });
        Ok((vec![items.len()], numbers.collect::<Result<_, String>>()?))
    }

    fn one(&self, id: Id, limit: usize) -> Result<(Vec<usize>, Vec<f64>), String> {
        match self.get(id) {
            Value::Float(number) => Ok((Vec::new(), vec![*number])),
            Value::Int(number) => Ok((Vec::new(), vec![*number as f64])),
            Value::Bool(yes) => Ok((Vec::new(), vec![f64::from(u8::from(*yes))])),
            Value::Array(array) => self.array(array, limit).map(|numbers| (array.shape.clone(), numbers)),
            other => Err(format!("{} instead of numbers", name_of(other))),
        }
    }

    fn array(&self, array: &ArrayReference, limit: usize) -> Result<Vec<f64>, String> {
        let NumberFormat { kind, size, .. } = array.format;
        if size == 0 {
            return Err("an array of something other than plain numbers".into());
        }
        let count = array.shape.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
        let Some(count) = count.filter(|count| *count <= limit) else {
            return Err(format!("an array of shape {:?}, more than {limit} numbers", array.shape));
        };
        let latin1;
        let bytes: &[u8] = match self.get(array.data) {
            Value::Bytes(bytes) => bytes,
            Value::Latin1(text) => {
                let Value::Text(text) = self.get(*text) else { return Err("an array without bytes".into()) };
                // At most as many letters as announced, or a decompression bomb could expand here.
                let letters = text.chars().take(count * size + 1).map(u8::try_from);
                latin1 = letters.collect::<Result<Vec<u8>, _>>().map_err(|_| "an array's bytes are not Latin-1")?;
                &latin1
            }
            _ => return Err("an array without bytes".into()),
        };
        if bytes.len() != count * size {
            return Err(format!("an array of shape {:?} whose bytes do not fill it", array.shape));
        }
        let numbers = bytes.chunks_exact(size).map(|bytes| array.format.number(bytes)).collect::<Option<Vec<f64>>>();
        let numbers = numbers.ok_or_else(|| format!("an array of {size}-byte `{}`", char::from(kind)))?;
        Ok(if array.fortran && array.shape.len() > 1 { row_major(&numbers, &array.shape) } else { numbers })
    }
}

/// Converts column-major numbers to row-major order.
fn row_major(numbers: &[f64], shape: &[usize]) -> Vec<f64> {
    (0..numbers.len())
        .map(|index| {
            let (mut rest, mut at) = (index, 0);
            // The last index runs fastest in `index`; in `numbers` the first does.
            for (place, side) in shape.iter().enumerate().rev() {
                at += rest % side * shape[..place].iter().product::<usize>();
                rest /= side;
            }
            numbers[at]
        })
        .collect()
}

pub(super) fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Opaque => "None",
        Value::Bool(_) => "a bool",
        Value::Int(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Text(_) => "a string",
        Value::Bytes(_) | Value::Latin1(_) => "bytes",
        Value::Tuple(_) => "a tuple",
        Value::List(_) => "a list",
        Value::Dict(_) => "a dict",
        Value::Callable(_) => "a name",
        Value::Storage(_) => "a storage",
        Value::Tensor(_) => "a tensor",
        Value::NumberFormat(_) => "a dtype",
        Value::Array(_) => "an array",
    }
}
