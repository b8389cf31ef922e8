//! Makes the inputs: generated, because most of the files would be large.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use visuomotor::pickle::{Pickle, write};

pub fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Replaces a file by a link to `to`.
pub fn link(folder: &Path, name: &str, to: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(&path);
    symlink(to, path).unwrap();
}

/// Replaces a file by a pipe without a writer.
pub fn pipe(folder: &Path, name: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(&path);
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a NUL-terminated path that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

/// A long file that takes no room on disk; it begins with `head`.
pub fn hole(folder: &Path, name: &str, head: &[u8], length: u64) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(head).unwrap();
    file.set_len(length).unwrap();
}

// ---- Bridge

/// A valid trajectory of `steps` steps without images.
pub fn trajectory(folder: &Path, steps: usize) {
    let states = Pickle::rows(&vec![[0.25; 7]; steps + 1]);
    put(folder, "set/obs_dict.pkl", write(&Pickle::dict([("full_state", states)])));
    let action = || Pickle::dict([("actions", Pickle::Floats(vec![7], vec![0.0; 7]))]);
    put(folder, "set/policy_out.pkl", write(&Pickle::List((0..steps).map(|_| action()).collect())));
}

/// `before`, then `again` up to 64 MiB, as the observations.
pub fn observations(folder: &Path, before: &[u8], again: &[u8]) {
    trajectory(folder, 2);
    let count = ((64 << 20) - before.len()) / again.len();
    put(folder, "set/obs_dict.pkl", [before, &again.repeat(count)].concat());
}

/// A valid trajectory of two steps whose first image is `picture`.
pub fn with_picture(folder: &Path, picture: &[u8]) {
    trajectory(folder, 2);
    for name in ["set/images0/im_0.jpg", "set/images0/im_1.jpg"] {
        put(folder, name, picture);
    }
}

/// A JPEG file of 16x16 pixels that claims to have others.
pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let gray = [128; 16 * 16 * 3];
    jpeg_encoder::Encoder::new(&mut bytes, 90).encode(&gray, 16, 16, jpeg_encoder::ColorType::Rgb).unwrap();
    // Start of frame: marker, length, precision, height, width.
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// A PNG file of this size that is all black: a thousandth of its pixels.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    let mut stream = writer.stream_writer().unwrap();
    let row = vec![0; width as usize * 4];
    (0..height).for_each(|_| stream.write_all(&row).unwrap());
    stream.finish().unwrap();
    drop(writer);
    file
}

/// A PNG file that claims any size and holds nothing.
pub fn png_head(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &[]), chunk(b"IEND", &[])].concat()
}

// ---- recordings (https://mcap.dev/spec)

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub fn record(opcode: u8, body: &[u8]) -> Vec<u8> {
    [&[opcode][..], &(body.len() as u64).to_le_bytes(), body].concat()
}

/// The beginning of one of our recordings: magic, header, metadata.
pub fn recording() -> Vec<u8> {
    let pairs = [text("format_version"), text("1")].concat();
    let metadata = [text("visuomotor"), (pairs.len() as u32).to_le_bytes().to_vec(), pairs].concat();
    [mcap::MAGIC.to_vec(), record(1, &[text("ros2"), text("nobody")].concat()), record(0x0c, &metadata)].concat()
}

/// A chunk that claims to unfold to `size` bytes.
pub fn chunk(compression: &str, size: u64, inside: &[u8]) -> Vec<u8> {
    let head = [0u64.to_le_bytes(), 0u64.to_le_bytes(), size.to_le_bytes()].concat();
    let inside = [&(inside.len() as u64).to_le_bytes()[..], inside].concat();
    record(6, &[head, 0u32.to_le_bytes().to_vec(), text(compression), inside].concat())
}

/// A chunk with one attachment of zeros that unfolds to `size` bytes and takes a thirty-thousandth of them.
pub fn zeros(size: u64) -> Vec<u8> {
    let about = [&[0; 16][..], &text("zeros"), &text("text/plain")].concat();
    let body = size - 9;
    let data = body - about.len() as u64 - 8 - 4;
    let mut squeezed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    squeezed.write_all(&[&[9][..], &body.to_le_bytes(), &about, &data.to_le_bytes()].concat()).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), data + 4), &mut squeezed).unwrap();
    chunk("zstd", size, &squeezed.finish().unwrap())
}

/// A message of joint states that claims to have four thousand million names.
pub fn endless_names() -> Vec<u8> {
    let channel = [
        &7u16.to_le_bytes()[..],
        &0u16.to_le_bytes(),
        &text("/observed_joint_states"),
        &text("cdr"),
        &0u32.to_le_bytes(),
    ]
    .concat();
    let data = [&[0, 1, 0, 0][..], &[0; 8], &1u32.to_le_bytes(), &[0; 4], &u32::MAX.to_le_bytes()].concat();
    let message = [&7u16.to_le_bytes()[..], &0u32.to_le_bytes(), &[0; 16], &data].concat();
    [recording(), record(4, &channel), record(5, &message)].concat()
}

/// A complete recording of two steps whose index lists the first chunk 1000 times.
pub fn looping_index(folder: &Path) {
    std::fs::create_dir_all(folder.join("set")).unwrap();
    crate::exchange::fixture::record(
        &folder.join("set"),
        "a",
        2,
        &[("front", (64, 48))],
        crate::exchange::fixture::success(),
    );
    let path = folder.join("set/a.mcap");
    let bytes = std::fs::read(&path).unwrap();
    // Footer (opcode 2, 20 bytes) and the closing magic; its first number is the start of the summary.
    let footer = bytes.len() - 8 - 29;
    let summary = u64::from_le_bytes(bytes[footer + 9..footer + 17].try_into().unwrap()) as usize;
    let index = [
        &[0; 16][..],
        &8u64.to_le_bytes(),
        &(summary as u64).to_le_bytes(),
        &0u32.to_le_bytes(),
        &[0; 8],
        &text("zstd"),
        &[0; 16],
    ]
    .concat();
    let mut looping = bytes[..summary].to_vec();
    (0..1000).for_each(|_| looping.extend(record(8, &index)));
    looping.extend(&bytes[footer..]);
    std::fs::write(path, looping).unwrap();
}

// ---- LeRobot

/// A column of a table.
pub type Column = (&'static str, ArrayRef);

fn vectors(rows: usize) -> ArrayRef {
    let items: ArrayRef = Arc::new(Float32Array::from(vec![0.25; 7 * rows]));
    let field = Arc::new(Field::new("element", DataType::Float32, true));
    Arc::new(FixedSizeListArray::try_new(field, 7, items, None).unwrap())
}

/// Image files, as LeRobot embeds them.
pub fn files(file: &[u8], rows: usize) -> ArrayRef {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(file, rows)));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n("a", rows)));
    let fields =
        Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]);
    Arc::new(StructArray::new(fields, vec![bytes, names], None))
}

/// Rows of the one episode.
pub fn rows(count: usize) -> Vec<Column> {
    vec![
        ("observation.state", vectors(count)),
        ("action", vectors(count)),
        ("timestamp", Arc::new(Float32Array::from_iter_values((0..count).map(|row| row as f32 * 0.1)))),
        ("episode_index", Arc::new(Int64Array::from(vec![0; count]))),
    ]
}

/// A list of one number for each row but the last, which has `last` of them.
pub fn long_list(last: usize) -> Vec<Column> {
    let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(0.25); last])]);
    let mut columns = rows(1);
    columns[1].1 = Arc::new(lists);
    columns
}

pub fn table(path: &Path, times: usize, columns: &[Column]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let fields: Vec<Field> = columns.iter().map(|(name, of)| Field::new(*name, of.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.iter().map(|(_, of)| of.clone()).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    // One dictionary, however large a value, and one page for all rows.
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .set_dictionary_page_size_limit(1 << 30)
        .set_data_page_row_count_limit(1 << 30)
        .set_data_page_size_limit(1 << 30)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    // Otherwise a reader would see the layout of the arrays here.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(File::create(path).unwrap(), schema, options).unwrap();
    (0..times).for_each(|_| writer.write(&batch).unwrap());
    writer.close().unwrap();
}

/// A data set of one episode of `count` steps with images in the table, without the table.
pub fn lerobot(folder: &Path, count: usize) {
    let seven = json!({"dtype": "float32", "shape": [7], "names": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]});
    let info = json!({
        "codebase_version": "v3.0",
        "robot_type": "widowx",
        "fps": 10,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "features": {
            "observation.state": seven,
            "action": seven,
            "observation.images.top": {"dtype": "image", "shape": [16, 16, 3], "names": null},
        },
    });
    put(folder, "set/meta/info.json", info.to_string());
    let names = Arc::new(Field::new("element", DataType::Utf8, true));
    let task: ArrayRef = Arc::new(StringArray::from(vec!["take the knife"]));
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([1]);
    let number = |value: usize| -> ArrayRef { Arc::new(Int64Array::from(vec![value as i64])) };
    let columns: Vec<Column> = vec![
        ("episode_index", number(0)),
        ("tasks", Arc::new(ListArray::try_new(names, offsets, task, None).unwrap())),
        ("length", number(count)),
        ("data/chunk_index", number(0)),
        ("data/file_index", number(0)),
    ];
    table(&folder.join("set/meta/episodes/chunk-000/file-000.parquet"), 1, &columns);
}

/// A data set that is valid but for its one task's name, which is a list of `count` times the same text of `length` bytes.
pub fn long_tasks(folder: &Path, count: usize, length: usize) {
    pictures(folder, &jpeg(16, 16), 8);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(length)]));
    let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; count]), text));
    let names = Arc::new(Field::new("element", words.data_type().clone(), true));
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([count]);
    let number = |value: usize| -> ArrayRef { Arc::new(Int64Array::from(vec![value as i64])) };
    let columns: Vec<Column> = vec![
        ("episode_index", number(0)),
        ("tasks", Arc::new(ListArray::try_new(names, offsets, words, None).unwrap())),
        ("length", number(8)),
        ("data/chunk_index", number(0)),
        ("data/file_index", number(0)),
    ];
    table(&folder.join("set/meta/episodes/chunk-000/file-000.parquet"), 1, &columns);
}

/// Where the steps of the data set are.
pub const DATA: &str = "set/data/chunk-000/file-000.parquet";

/// A valid data set of `count` steps with this image in every row.
pub fn pictures(folder: &Path, file: &[u8], count: usize) {
    lerobot(folder, count);
    let at_once = 8;
    let mut columns = rows(at_once);
    columns.push(("observation.images.top", files(file, at_once)));
    table(&folder.join(DATA), count / at_once, &columns);
}

/// A data set whose first page claims to unfold to 2 GiB.
pub fn lying_page(folder: &Path) {
    pictures(folder, &jpeg(16, 16), 8);
    let path = folder.join(DATA);
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind `PAR1`: field 1 (type), field 2 (unfolded size), whose number grows to five bytes and displaces what follows.
    assert_eq!((bytes[4], bytes[6]), (0x15, 0x15));
    let mut end = 7;
    while bytes[end] & 0x80 != 0 {
        end += 1;
    }
    bytes.splice(7..=end, [0xfe, 0xff, 0xff, 0xff, 0x0f]);
    std::fs::write(path, bytes).unwrap();
}

// ---- checkpoints and weights

/// A zip file of stored entries, as `torch.save` writes it, whose directory lists the same bytes `times` over.
pub fn checkpoint(pickle: &[u8], times: usize) -> Vec<u8> {
    let crc = crc32fast::hash(pickle);
    let sizes = [crc.to_le_bytes(), (pickle.len() as u32).to_le_bytes(), (pickle.len() as u32).to_le_bytes()].concat();
    let name = |index: usize| if index == 0 { "m/data.pkl".to_string() } else { format!("m/data/{index}") };
    let first = name(0);
    let local = [
        b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0",
        &sizes[..],
        &(first.len() as u16).to_le_bytes(),
        &[0; 2],
        first.as_bytes(),
        pickle,
    ]
    .concat();
    let mut directory = Vec::new();
    for index in 0..times {
        let name = name(index);
        directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0");
        directory.extend(&sizes);
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 16]);
        directory.extend(name.as_bytes());
    }
    let count = (times as u16).to_le_bytes();
    let end = [
        b"PK\x05\x06\0\0\0\0",
        &count[..],
        &count,
        &(directory.len() as u32).to_le_bytes(),
        &(local.len() as u32).to_le_bytes(),
        &[0; 2],
    ]
    .concat();
    [local, directory, end].concat()
}

/// Python's pickle of a dict of `count` tensors, each of `length` floats of the same stored bytes.
pub fn tensors(count: usize, length: u32) -> Vec<u8> {
    let word = |word: &str| [&b"X"[..], &(word.len() as u32).to_le_bytes(), word.as_bytes()].concat();
    let number = |number: u32| [&b"J"[..], &number.to_le_bytes()].concat();
    let mut out = b"\x80\x02}(".to_vec();
    for index in 0..count {
        out.extend(word(&format!("t{index}")));
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        out.extend(word("storage"));
        out.extend(b"ctorch\nFloatStorage\n");
        out.extend([word("1"), word("cpu"), number(length)].concat());
        out.extend(b"tQK\0");
        out.extend(number(length));
        out.extend(b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

/// A file of weights with this description and nothing else.
pub fn safetensors(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}
