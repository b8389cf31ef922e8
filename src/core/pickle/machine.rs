//! The pickle machine. One file because the instructions and their effects are audited together.

use std::collections::HashMap;

use super::value::{ArrayReference, Callable, Element, Id, NumberFormat, Storage, TensorReference, Value, Values};
use super::{PickleError, Vocabulary};
use crate::untrusted::Budget;

/// Memory counted per memo entry or open mark \[bytes\].
const ENTRY: usize = 32;

/// Runs the pickle; the error is a sentence without file name.
pub fn run(bytes: &[u8], vocabulary: Vocabulary) -> Result<Values, PickleError> {
    let longest = vocabulary.longest();
    if bytes.len() > longest {
        return Err(PickleError::TooLarge(format!("the pickle has {} bytes, at most {longest} are read", bytes.len())));
    }
    run_first(bytes, vocabulary).map(|(values, _)| values)
}

/// Runs the pickle that `bytes` begin with; also its length \[bytes\].
pub fn run_first(bytes: &[u8], vocabulary: Vocabulary) -> Result<(Values, usize), PickleError> {
    let bytes = &bytes[..bytes.len().min(vocabulary.longest())];
    let mut machine = Machine {
        vocabulary,
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        nodes: Vec::new(),
        budget: Budget::new("what the pickle unfolds to", vocabulary.largest()),
        trouble: PickleError::Malformed,
    };
    let root =
        machine.run().map_err(|message| (machine.trouble)(format!("{message} (byte {} of the pickle)", machine.at)))?;
    Ok((Values { nodes: machine.nodes, root }, machine.at))
}

struct Machine<'a> {
    vocabulary: Vocabulary,
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Id>,
    /// Stack height at each open mark.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    nodes: Vec<Value>,
    /// One byte of a pickle can create a value of a hundred bytes: all created values are counted, kept or not.
    budget: Budget,
    /// Error variant for the current message.
    trouble: fn(String) -> PickleError,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id, String> {
        let torch = self.vocabulary == Vocabulary::Torch;
        loop {
            let instruction = self.byte()?;
            match instruction {
                b'.' => return self.pop(),
                0x80 => {
                    let version = self.byte()?;
                    if version > 5 {
                        return Err(self.unsupported(format!("pickle protocol {version} is not known, at most 5 is")));
                    }
                }
                0x95 => _ = self.take(8)?,
                b'(' => {
                    self.count(ENTRY)?;
                    self.marks.push(self.stack.len());
                }
                b'0' => _ = self.pop()?,
                b'1' => _ = self.pop_mark()?,
                b'N' => self.push_value(Value::Opaque)?,
                0x88 | 0x89 => self.push_value(Value::Bool(instruction == 0x88))?,
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push_value(Value::Int(value.into()))?;
                }
                b'K' => {
                    let value = self.byte()?;
                    self.push_value(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push_value(Value::Int(value.into()))?;
                }
                0x8a => self.long(1)?,
                0x8b => self.long(4)?,
                b'G' => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.push_value(Value::Float(value))?;
                }
                b'X' => self.text(4)?,
                0x8c => self.text(1)?,
                0x8d => self.text(8)?,
                b'B' => self.binary(4)?,
                b'C' => self.binary(1)?,
                0x8e | 0x96 => self.binary(8)?,
                b')' => self.push_value(Value::Tuple(Vec::new()))?,
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(instruction - 0x84))?;
                    self.push_value(Value::Tuple(items))?;
                }
                b't' => {
                    let items = self.pop_mark()?;
                    self.push_value(Value::Tuple(items))?;
                }
                b']' => self.push_value(Value::List(Vec::new()))?,
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_mark()?;
                    self.append(items)?;
                }
                b'}' => self.push_value(Value::Dict(Vec::new()))?,
                b's' => {
                    let pair = self.pop_many(2)?;
                    self.set_items(&pair)?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.set_items(&items)?;
                }
                b'q' => {
                    let index = self.byte()?;
                    self.memorize(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.memorize(index as usize)?;
                }
                0x94 => self.memorize(self.memo.len())?,
                b'h' => {
                    let index = self.byte()?;
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.recall(index as usize)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let names = self.pop_many(2)?;
                    match (self.value(names[0]).clone(), self.value(names[1]).clone()) {
                        (Value::Text(module), Value::Text(name)) => self.global(&module, &name)?,
                        _ => return Err("a name that is not text is asked for".into()),
                    }
                }
                b'Q' => self.persistent()?,
                b'U' if torch => self.old_text(1)?,
                b'T' if torch => self.old_text(4)?,
                0x81 if torch => self.reduce()?,
                // No reader needs a set.
                0x8f if torch => self.push_value(Value::Opaque)?,
                0x90 if torch => _ = self.pop_mark()?,
                0x91 if torch => {
                    self.pop_mark()?;
                    self.push_value(Value::Opaque)?;
                }
                b'R' => self.reduce()?,
                b'b' => {
                    let state = self.pop()?;
                    self.build(state)?;
                }
                other => {
                    let purpose = self.vocabulary.purpose();
                    return Err(self.unsupported(format!("instruction 0x{other:02x} is not one that {purpose} needs")));
                }
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(format!("{count} bytes are announced, {} are left", self.bytes.len() - self.at));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.array::<1>()?[0])
    }

    /// A length of 1, 4 or 8 bytes.
    fn length(&mut self, size: usize) -> Result<usize, String> {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(self.take(size)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| "a length does not fit the memory".into())
    }

    fn text(&mut self, size: usize) -> Result<(), String> {
        let length = self.length(size)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a text is not UTF-8")?;
        self.push_value(Value::Text(text.into()))
    }

    fn binary(&mut self, size: usize) -> Result<(), String> {
        let length = self.length(size)?;
        let bytes = self.take(length)?;
        self.push_value(Value::Bytes(bytes.into()))
    }

    /// A little-endian integer of any length. One beyond 64 bits, such as a random seed, is no size and no weight: no reader
    /// needs it.
    fn long(&mut self, size: usize) -> Result<(), String> {
        let length = self.length(size)?;
        let bytes = self.take(length)?;
        if length > 8 {
            return self.push_value(Value::Opaque);
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(bytes);
        self.push_value(Value::Int(i64::from_le_bytes(wide)))
    }

    /// A string of Python 2: text where it is some.
    fn old_text(&mut self, size: usize) -> Result<(), String> {
        let length = self.length(size)?;
        let bytes = self.take(length)?;
        self.push_value(match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Bytes(bytes.into()),
        })
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(256).position(|byte| *byte == b'\n').ok_or("a name has no end")?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map(str::to_string).map_err(|_| "a name is not UTF-8".into())
    }

    /// Counts memory before it is taken.
    fn count(&mut self, bytes: usize) -> Result<(), String> {
        self.budget.take(bytes as u64).map_err(|error| {
            self.trouble = PickleError::TooLarge;
            error.to_string()
        })
    }

    fn unsupported(&mut self, message: String) -> String {
        self.trouble = PickleError::Unsupported;
        message
    }

    fn push_value(&mut self, value: Value) -> Result<(), String> {
        let (own, id) = (size_of::<Value>(), size_of::<Id>());
        self.count(own + id + value.outside())?;
        self.nodes.push(value);
        self.stack.push(self.nodes.len() - 1);
        Ok(())
    }

    fn value(&self, id: Id) -> &Value {
        // Only `push_value` creates ids.
        &self.nodes[id]
    }

    /// Height below which the stack belongs to an open mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn last(&self) -> Result<Id, String> {
        if self.stack.len() <= self.floor() {
            return Err("a missing value is used".into());
        }
        self.stack.last().copied().ok_or_else(|| "a missing value is used".into())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let id = self.last()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        if self.stack.len() < self.floor() + count {
            return Err(format!("{count} values are used, fewer are there"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("a missing mark is used")?;
        // The stack is never cut below an open mark.
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.last()?;
        self.count(items.len() * size_of::<Id>())?;
        match &mut self.nodes[list] {
            Value::List(list) => list.extend(items),
            _ => return Err("values are appended to something that is not a list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let dict = self.last()?;
        self.count(size_of_val(items))?;
        if !items.len().is_multiple_of(2) {
            return Err("a dict gets a key without value".into());
        }
        match &mut self.nodes[dict] {
            Value::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("keys are set in something that is not a dict".into()),
        }
        Ok(())
    }

    fn memorize(&mut self, index: usize) -> Result<(), String> {
        let id = self.last()?;
        self.count(ENTRY)?;
        self.memo.insert(index, id);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), String> {
        let id = self.memo.get(&index).copied();
        let id = id.ok_or_else(|| format!("memory {index} is read but was not written"))?;
        self.count(size_of::<Id>())?;
        self.stack.push(id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let Some(callable) = self.vocabulary.callable(module, name) else {
            // A name may be as long as the file.
            let shown = |text: &str| text.chars().take(80).flat_map(char::escape_debug).collect::<String>();
            let (module, name, purpose) = (shown(module), shown(name), self.vocabulary.purpose());
            return Err(self.unsupported(format!(
                "it asks for `{module}.{name}`, which is not among the names {purpose} needs; nothing was executed"
            )));
        };
        self.push_value(Value::Callable(callable))
    }

    /// `('storage', torch.FloatStorage, key, device, length)` stands for bytes of the archive. Before PyTorch 1.6 a sixth item was
    /// there: `None`, or the part of another storage.
    fn persistent(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let Value::Tuple(items) = self.value(id) else { return Err("a storage is not described by a tuple".into()) };
        let items: Vec<&Value> = items.iter().map(|id| self.value(*id)).collect();
        let storage = match items[..] {
            [
                Value::Text(tag),
                Value::Callable(Callable::StorageType(element)),
                Value::Text(key),
                _,
                Value::Int(length),
                ref rest @ ..,
            ] if matches!(rest, [] | [Value::Opaque])
                && tag == "storage"
                && self.vocabulary == Vocabulary::Torch
                && key.len() < 256 =>
            {
                let length = usize::try_from(*length).map_err(|_| format!("a storage has length {length}"))?;
                Storage { element: *element, key: key.clone(), length }
            }
            _ => return Err("a storage is not described as torch.save does it".into()),
        };
        self.push_value(Value::Storage(storage))
    }

    fn reduce(&mut self) -> Result<(), String> {
        let ids = self.pop_many(2)?;
        let made = self.call(ids[0], ids[1])?;
        self.push_value(made)
    }

    /// What a constructor makes of a tuple of arguments. Nothing is executed.
    fn call(&self, function: Id, tuple: Id) -> Result<Value, String> {
        let Value::Callable(callable) = *self.value(function) else {
            return Err("something that cannot be called is called".into());
        };
        let Value::Tuple(ids) = self.value(tuple) else { return Err("a call has no tuple of arguments".into()) };
        let arguments: Vec<&Value> = ids.iter().map(|id| self.value(*id)).collect();
        Ok(match (callable, &arguments[..]) {
            (Callable::OrderedDict, []) | (Callable::DefaultDict, [] | [_]) => Value::Dict(Vec::new()),
            (Callable::OrderedDict, [pairs]) | (Callable::DefaultDict, [_, pairs]) => self.dict(pairs)?,
            (Callable::Sequence, []) => Value::List(Vec::new()),
            (Callable::Sequence, [Value::List(items) | Value::Tuple(items), ..]) => Value::List(items.clone()),
            (Callable::Inert | Callable::Sequence, _) => Value::Opaque,
            (
                Callable::RebuildTensor | Callable::RebuildTypedTensor,
                [Value::Storage(storage), Value::Int(offset), Value::Tuple(shape), Value::Tuple(strides), rest @ ..],
            ) => Value::Tensor(TensorReference {
                storage: match (callable, rest) {
                    (Callable::RebuildTypedTensor, [_, _, Value::Callable(Callable::Dtype(element)), ..]) => Storage {
                        element: *element,
                        length: storage.length.saturating_mul(storage.element.size()) / element.size(),
                        key: storage.key.clone(),
                    },
                    _ => storage.clone(),
                },
                offset: usize::try_from(*offset).map_err(|_| format!("a tensor begins at {offset}"))?,
                shape: self.sizes(shape)?,
                strides: self.sizes(strides)?,
            }),
            (Callable::RebuildParameter, [Value::Tensor(tensor), ..]) => Value::Tensor(tensor.clone()),
            (Callable::RebuildFromType, [Value::Callable(inner), _, Value::Tuple(_), ..])
                if !matches!(inner, Callable::RebuildFromType) =>
            {
                self.call(ids[0], ids[2])?
            }
            (Callable::OtherTensor(name), _) => Value::Tensor(TensorReference {
                storage: Storage { element: Element::Other(name, 1), key: String::new(), length: 1 },
                offset: 0,
                shape: Vec::new(),
                strides: Vec::new(),
            }),
            // `numpy.ndarray`, a shape and a type that its state will replace.
            (Callable::Reconstruct, [Value::Callable(Callable::ArrayType), ..]) => Value::Array(ArrayReference {
                format: NumberFormat::parse(""),
                shape: vec![0],
                fortran: false,
                data: function,
            }),
            (Callable::NumberType, [Value::Text(text), ..]) => Value::NumberFormat(NumberFormat::parse(text)),
            (Callable::Encode, [Value::Text(_), Value::Text(codec)]) if codec == "latin1" => {
                Value::Latin1(self.argument(tuple, 0)?)
            }
            // Empty bytes in protocols before 3 are `bytes()`, which no array of ours needs.
            (Callable::Scalar, [Value::NumberFormat(format), _]) => Value::Array(ArrayReference {
                format: *format,
                shape: Vec::new(),
                fortran: false,
                data: self.argument(tuple, 1)?,
            }),
            (Callable::FromBuffer, [_, Value::NumberFormat(format), Value::Tuple(shape), Value::Text(order)]) => {
                Value::Array(ArrayReference {
                    format: *format,
                    shape: self.sizes(shape)?,
                    fortran: order == "F",
                    data: self.argument(tuple, 0)?,
                })
            }
            _ => {
                return Err(format!(
                    "{callable:?} is called with arguments that {} does not need",
                    self.vocabulary.purpose()
                ));
            }
        })
    }

    /// A dict from another, or from a list of pairs; of anything else no reader needs the entries.
    fn dict(&self, pairs: &Value) -> Result<Value, String> {
        Ok(match pairs {
            Value::Dict(pairs) => Value::Dict(pairs.clone()),
            Value::List(items) => {
                let pair = |id: &Id| match self.value(*id) {
                    Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
                    _ => Err("a dict is made of something other than pairs".to_string()),
                };
                Value::Dict(items.iter().map(pair).collect::<Result<_, _>>()?)
            }
            _ => Value::Dict(Vec::new()),
        })
    }

    /// One of the arguments in a tuple.
    fn argument(&self, tuple: Id, index: usize) -> Result<Id, String> {
        match self.value(tuple) {
            Value::Tuple(items) => items.get(index).copied().ok_or_else(|| "a call lacks an argument".into()),
            _ => Err("a call has no tuple of arguments".into()),
        }
    }

    /// Sets an object's state: an array's contents, a dtype's byte order. An OrderedDict keeps module versions there, which
    /// do not matter for weights.
    fn build(&mut self, state: Id) -> Result<(), String> {
        let object = self.last()?;
        let fields: Vec<(Id, &Value)> = match self.value(state) {
            Value::Tuple(ids) => ids.iter().take(8).map(|id| (*id, self.value(*id))).collect(),
            _ => Vec::new(),
        };
        let whole = match (self.value(object), &fields[..]) {
            (Value::Dict(_), _) => return Ok(()),
            // Settings and paths keep no values here; a tensor's attributes are no values of it.
            (Value::Opaque | Value::List(_) | Value::Tensor(_), _) if self.vocabulary == Vocabulary::Torch => {
                return Ok(());
            }
            (Value::NumberFormat(format), [_, (_, Value::Text(order)), ..]) => {
                Value::NumberFormat(NumberFormat { big_endian: order == ">", ..*format })
            }
            (
                Value::Array(_),
                [_, (_, Value::Tuple(shape)), (_, Value::NumberFormat(format)), (_, Value::Bool(fortran)), (data, _)],
            ) => Value::Array(ArrayReference {
                format: *format,
                shape: self.sizes(shape)?,
                fortran: *fortran,
                data: *data,
            }),
            (Value::Array(_) | Value::NumberFormat(_), _) => {
                return Err("an array or a dtype is given a state that numpy does not write".into());
            }
            _ => return Err("state is given to something that has none".into()),
        };
        self.nodes[object] = whole;
        Ok(())
    }

    fn sizes(&self, ids: &[Id]) -> Result<Vec<usize>, String> {
        if ids.len() > 64 {
            return Err(format!("a tensor has {} dimensions, at most 64 are read", ids.len()));
        }
        let size = |id: &Id| match self.value(*id) {
            Value::Int(size) => usize::try_from(*size).map_err(|_| format!("a tensor has size or stride {size}")),
            _ => Err("a size is not an integer".into()),
        };
        ids.iter().map(size).collect()
    }
}
