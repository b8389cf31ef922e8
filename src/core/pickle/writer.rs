//! Writes pickles of protocol 2, the newest that Python 2 and every numpy can read.

/// Something to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Pickle {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Pickle>),
    /// A dict with strings as keys, in this order.
    Dict(Vec<(String, Pickle)>),
    /// A numpy array of 64-bit floats: shape and numbers, row-major, with the shape's number of elements.
    Floats(Vec<usize>, Vec<f64>),
}

impl Pickle {
    /// A dict from pairs.
    pub fn dict<const N: usize>(pairs: [(&str, Pickle); N]) -> Self {
        Self::Dict(pairs.map(|(key, value)| (key.to_string(), value)).into())
    }

    /// An array of shape (rows, `N`).
    pub fn rows<const N: usize>(rows: &[[f64; N]]) -> Self {
        Self::Floats(vec![rows.len(), N], rows.concat())
    }
}

/// The pickle of `value`.
pub fn write(value: &Pickle) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    put(&mut out, value);
    out.push(b'.');
    out
}

fn put(out: &mut Vec<u8>, value: &Pickle) {
    match value {
        Pickle::None => out.push(b'N'),
        Pickle::Bool(yes) => out.push(if *yes { 0x88 } else { 0x89 }),
        Pickle::Int(number) => integer(out, *number),
        Pickle::Float(number) => {
            out.push(b'G');
            out.extend(number.to_be_bytes());
        }
        Pickle::Text(words) => text(out, words),
        Pickle::List(items) => {
            out.extend(b"](");
            items.iter().for_each(|item| put(out, item));
            out.push(b'e');
        }
        Pickle::Dict(pairs) => {
            out.extend(b"}(");
            for (key, value) in pairs {
                text(out, key);
                put(out, value);
            }
            out.push(b'u');
        }
        Pickle::Floats(shape, numbers) => array(out, shape, numbers),
    }
}

fn integer(out: &mut Vec<u8>, number: i64) {
    match i32::try_from(number) {
        Ok(number) => {
            out.push(b'J');
            out.extend(number.to_le_bytes());
        }
        Err(_) => {
            out.extend([0x8a, 8]);
            out.extend(number.to_le_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, words: &str) {
    out.push(b'X');
    // Our texts are shorter than 4 GiB; otherwise the reader would fail.
    out.extend((words.len() as u32).to_le_bytes());
    out.extend(words.as_bytes());
}

/// Bytes as `_codecs.encode(text, "latin1")`, as Python 3 writes them in this protocol.
fn bytes(out: &mut Vec<u8>, bytes: impl Iterator<Item = u8>) {
    out.extend(b"c_codecs\nencode\n");
    text(out, &bytes.map(char::from).collect::<String>());
    text(out, "latin1");
    out.extend([0x86, b'R']);
}

/// `_reconstruct(ndarray, (0,), b"b")`, then its state: version, shape, dtype, row-major, bytes.
fn array(out: &mut Vec<u8>, shape: &[usize], numbers: &[f64]) {
    // numpy 2 keeps `numpy.core` for old pickles; numpy 1 has no other name.
    out.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n");
    integer(out, 0);
    out.push(0x85);
    bytes(out, b"b".iter().copied());
    out.extend([0x87, b'R', b'(']);
    integer(out, 1);
    out.push(b'(');
    shape.iter().for_each(|side| integer(out, *side as i64));
    out.push(b't');
    out.extend(b"cnumpy\ndtype\n");
    text(out, "f8");
    out.extend([0x89, 0x88, 0x87, b'R', b'(']);
    integer(out, 3);
    text(out, "<");
    out.extend(b"NNN");
    [-1, -1, 0].into_iter().for_each(|number| integer(out, number));
    out.extend(b"tb");
    out.push(0x89);
    bytes(out, numbers.iter().flat_map(|number| number.to_le_bytes()));
    out.extend(b"tb");
}
