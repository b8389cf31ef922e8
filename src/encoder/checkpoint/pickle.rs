//! A machine for the part of Python's pickle language that `torch.save` uses for tensors. It executes nothing.
//!
//! A pickle is a program: `REDUCE` calls any function that the file names. Here the only "functions" are the four in
//! [`Callable`], each a plain constructor; any other name is refused, with the name. Values live in one list and refer
//! to each other by index, so that neither nesting nor cycles can overflow the stack, and every instruction makes at
//! most one value, so that memory is bounded by the pickle's length.
//! One file because the instructions and what they may touch are best audited in one place.

use std::collections::HashMap;

/// Largest pickle read \[bytes\]; ResNet-50's has 60 kB.
pub(super) const LONGEST_PICKLE: usize = 8 << 20;

/// Index of a value in [`Values`].
pub(super) type Id = usize;

/// A value made by the pickle.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// None, floats, bytes: nothing a tensor needs.
    Opaque,
    Bool,
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Pairs in file order; a later one of the same key counts.
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    Storage(Storage),
    Tensor(TensorReference),
}

/// What may be named.
#[derive(Clone, Copy, Debug)]
pub(super) enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageType(Element),
}

/// Number format of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    Bf16,
    I64,
}

impl Element {
    /// Size of one value \[bytes\].
    pub fn size(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::F16 | Element::Bf16 => 2,
            Element::I64 => 8,
        }
    }
}

/// Bytes of the archive that tensors look into.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    pub element: Element,
    /// Name of its entry under `data/`.
    pub key: String,
    /// How many values it has.
    pub length: usize,
}

/// Where a tensor's values are.
#[derive(Clone, Debug)]
pub(super) struct TensorReference {
    pub storage: Storage,
    /// First value.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Values to skip per step of each dimension.
    pub strides: Vec<usize>,
}

/// All values of a pickle and which of them it gave back.
#[derive(Debug)]
pub(super) struct Values {
    nodes: Vec<Value>,
    root: Id,
}

impl Values {
    pub fn root(&self) -> Id {
        self.root
    }

    pub fn get(&self, id: Id) -> &Value {
        // Ids are made by `Machine::push_value` alone, so they are in range.
        self.nodes.get(id).unwrap_or(&Value::Opaque)
    }

    /// The entries of a dict whose keys are strings; `None` if it is no dict.
    pub fn entries(&self, id: Id) -> Option<impl Iterator<Item = (&str, &Value, Id)>> {
        let Value::Dict(pairs) = self.get(id) else { return None };
        Some(pairs.iter().filter_map(|(key, value)| match self.get(*key) {
            Value::Text(key) => Some((key.as_str(), self.get(*value), *value)),
            _ => None,
        }))
    }
}

/// Runs the pickle; the error is a sentence without file name.
pub(super) fn run(bytes: &[u8]) -> Result<Values, String> {
    if bytes.len() > LONGEST_PICKLE {
        return Err(format!("the pickle has {} bytes, at most {LONGEST_PICKLE} are read", bytes.len()));
    }
    let mut machine =
        Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), nodes: vec![] };
    let root = machine.run().map_err(|message| format!("{message} (byte {} of the pickle)", machine.at))?;
    Ok(Values { nodes: machine.nodes, root })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Id>,
    /// Heights of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    nodes: Vec<Value>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            let instruction = self.byte()?;
            match instruction {
                b'.' => return self.pop(),
                0x80 => {
                    let version = self.byte()?;
                    if version > 5 {
                        return Err(format!("pickle protocol {version} is not known, at most 5 is"));
                    }
                }
                0x95 => _ = self.take(8)?,
                b'(' => self.marks.push(self.stack.len()),
                b'0' => _ = self.pop()?,
                b'1' => _ = self.pop_mark()?,
                b'N' => self.push_value(Value::Opaque),
                0x88 | 0x89 => self.push_value(Value::Bool),
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push_value(Value::Int(value.into()));
                }
                b'K' => {
                    let value = self.byte()?;
                    self.push_value(Value::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push_value(Value::Int(value.into()));
                }
                0x8a => {
                    let value = self.long()?;
                    self.push_value(Value::Int(value));
                }
                b'G' => {
                    self.take(8)?;
                    self.push_value(Value::Opaque);
                }
                b'X' => self.text(4)?,
                0x8c => self.text(1)?,
                0x8d => self.text(8)?,
                b'B' => self.binary(4)?,
                b'C' => self.binary(1)?,
                0x8e => self.binary(8)?,
                b')' => self.push_value(Value::Tuple(Vec::new())),
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(instruction - 0x84))?;
                    self.push_value(Value::Tuple(items));
                }
                b't' => {
                    let items = self.pop_mark()?;
                    self.push_value(Value::Tuple(items));
                }
                b']' => self.push_value(Value::List(Vec::new())),
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_mark()?;
                    self.append(items)?;
                }
                b'}' => self.push_value(Value::Dict(Vec::new())),
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
                b'R' => self.reduce()?,
                b'b' => {
                    // State of an object: OrderedDict keeps module versions there, which say nothing about weights.
                    self.pop()?;
                    let object = self.last()?;
                    if !matches!(self.value(object), Value::Dict(_)) {
                        return Err("state is given to something that is no dict".into());
                    }
                }
                other => {
                    return Err(format!("instruction 0x{other:02x} is not one that torch.save writes for tensors"));
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
        self.push_value(Value::Text(text.into()));
        Ok(())
    }

    fn binary(&mut self, size: usize) -> Result<(), String> {
        let length = self.length(size)?;
        self.take(length)?;
        self.push_value(Value::Opaque);
        Ok(())
    }

    /// A little-endian integer of any length; at most 8 bytes make sense here.
    fn long(&mut self) -> Result<i64, String> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        if length > 8 {
            return Err(format!("an integer of {length} bytes is too large"));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(wide))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(256).position(|byte| *byte == b'\n').ok_or("a name has no end")?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map(str::to_string).map_err(|_| "a name is not UTF-8".into())
    }

    fn push_value(&mut self, value: Value) {
        self.nodes.push(value);
        self.stack.push(self.nodes.len() - 1);
    }

    fn value(&self, id: Id) -> &Value {
        // Only `push_value` makes ids.
        &self.nodes[id]
    }

    /// Height below which the stack belongs to an open mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn last(&self) -> Result<Id, String> {
        if self.stack.len() <= self.floor() {
            return Err("a value is used that is not there".into());
        }
        self.stack.last().copied().ok_or_else(|| "a value is used that is not there".into())
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
        let mark = self.marks.pop().ok_or("a mark is used that is not there")?;
        // The stack is never cut below an open mark.
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.last()?;
        match &mut self.nodes[list] {
            Value::List(list) => list.extend(items),
            _ => return Err("values are appended to something that is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let dict = self.last()?;
        if !items.len().is_multiple_of(2) {
            return Err("a dict gets a key without value".into());
        }
        match &mut self.nodes[dict] {
            Value::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("keys are set in something that is no dict".into()),
        }
        Ok(())
    }

    fn memorize(&mut self, index: usize) -> Result<(), String> {
        let id = self.last()?;
        self.memo.insert(index, id);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), String> {
        let id = self.memo.get(&index).ok_or_else(|| format!("memory {index} is read but was not written"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let callable = match (module, name) {
            ("collections", "OrderedDict") => Callable::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Callable::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Callable::RebuildParameter,
            ("torch", "FloatStorage") => Callable::StorageType(Element::F32),
            ("torch", "HalfStorage") => Callable::StorageType(Element::F16),
            ("torch", "BFloat16Storage") => Callable::StorageType(Element::Bf16),
            ("torch", "LongStorage") => Callable::StorageType(Element::I64),
            _ => {
                return Err(format!(
                    "it asks for `{}.{}`, which is not among the names a file of weights needs; nothing was executed",
                    module.escape_debug(),
                    name.escape_debug()
                ));
            }
        };
        self.push_value(Value::Callable(callable));
        Ok(())
    }

    /// `('storage', torch.FloatStorage, key, device, length)` stands for bytes of the archive.
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
            ] if tag == "storage" => {
                let length = usize::try_from(*length).map_err(|_| format!("a storage has length {length}"))?;
                Storage { element: *element, key: key.clone(), length }
            }
            _ => return Err("a storage is not described as torch.save does it".into()),
        };
        self.push_value(Value::Storage(storage));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), String> {
        let ids = self.pop_many(2)?;
        let Value::Callable(callable) = *self.value(ids[0]) else {
            return Err("something that cannot be called is called".into());
        };
        let Value::Tuple(arguments) = self.value(ids[1]) else { return Err("a call has no tuple of arguments".into()) };
        let arguments: Vec<&Value> = arguments.iter().map(|id| self.value(*id)).collect();
        let made = match (callable, &arguments[..]) {
            (Callable::OrderedDict, []) => Value::Dict(Vec::new()),
            (
                Callable::RebuildTensor,
                [Value::Storage(storage), Value::Int(offset), Value::Tuple(shape), Value::Tuple(strides), ..],
            ) => Value::Tensor(TensorReference {
                storage: storage.clone(),
                offset: usize::try_from(*offset).map_err(|_| format!("a tensor begins at {offset}"))?,
                shape: self.sizes(shape)?,
                strides: self.sizes(strides)?,
            }),
            (Callable::RebuildParameter, [Value::Tensor(tensor), ..]) => Value::Tensor(tensor.clone()),
            _ => return Err(format!("{callable:?} is called with arguments that torch.save does not write")),
        };
        self.push_value(made);
        Ok(())
    }

    fn sizes(&self, ids: &[Id]) -> Result<Vec<usize>, String> {
        if ids.len() > 8 {
            return Err(format!("a tensor has {} dimensions, at most 8 are read", ids.len()));
        }
        let size = |id: &Id| match self.value(*id) {
            Value::Int(size) => usize::try_from(*size).map_err(|_| format!("a tensor has size or stride {size}")),
            _ => Err("a size is not an integer".into()),
        };
        ids.iter().map(size).collect()
    }
}
