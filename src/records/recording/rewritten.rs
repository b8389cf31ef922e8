//! Recordings that another program wrote again: in another compression, without chunks or summary, in another order.

use std::borrow::Cow;
use std::io::{Cursor, Write};
use std::path::Path;

use mcap::records::{MessageHeader, Metadata, Record, op};
use mcap::{Compression, WriteOptions, Writer};

use super::edit::tests::record;
use super::scan::scan;
use super::{METADATA_NAME, ReadOptions, RecordedEpisode, RecordingError, parse_episode};

const ALL: ReadOptions = ReadOptions { images: true, control_ticks: true };

fn recording() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "a", 4, 3);
    std::fs::read(folder.path().join("a.mcap")).unwrap()
}

fn parse(bytes: &[u8]) -> Result<RecordedEpisode, RecordingError> {
    parse_episode(Path::new("a.mcap"), bytes, ALL)
}

/// Where the metadata go.
#[derive(Clone, Copy, PartialEq)]
enum About {
    First,
    Last,
    Nowhere,
}

/// Another program's copy of a recording: its messages sorted by `key`, stably.
fn rewritten<K: Ord>(
    bytes: &[u8],
    options: WriteOptions,
    about: About,
    key: impl Fn(usize, &str, &MessageHeader) -> K,
) -> Vec<u8> {
    let mut records: Vec<Record<'static>> = Vec::new();
    let keep = |record: Record<'_>| -> Result<(), ()> {
        records.push(record.into_owned());
        Ok(())
    };
    scan(bytes, bytes.len() as u64, keep).unwrap();
    let mut output = Cursor::new(Vec::new());
    let mut writer: Writer<_> = options.create(&mut output).unwrap();
    let metadata = |writer: &mut Writer<&mut Cursor<Vec<u8>>>| {
        for record in &records {
            if let Record::Metadata(metadata) = record {
                writer.write_metadata(metadata).unwrap();
            }
        }
    };
    if about == About::First {
        metadata(&mut writer);
    }
    let mut topics = std::collections::BTreeMap::new();
    let mut messages: Vec<(MessageHeader, Cow<'_, [u8]>)> = Vec::new();
    for record in &records {
        match record {
            Record::Schema { header, data } => {
                writer.add_schema_with_id(header.id, &header.name, &header.encoding, data).unwrap();
            }
            Record::Channel(channel) => {
                let (id, schema) = (channel.id, channel.schema_id);
                writer
                    .add_channel_with_id(id, schema, &channel.topic, &channel.message_encoding, &channel.metadata)
                    .unwrap();
                topics.insert(id, channel.topic.clone());
            }
            Record::Attachment { header, data, .. } => writer
                .attach(&mcap::Attachment {
                    log_time: header.log_time,
                    create_time: header.create_time,
                    name: header.name.clone(),
                    media_type: header.media_type.clone(),
                    data: data.clone(),
                })
                .unwrap(),
            Record::Message { header, data } => messages.push((*header, data.clone())),
            _ => {}
        }
    }
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|&index| key(index, &topics[&messages[index].0.channel_id], &messages[index].0));
    for index in order {
        writer.write_to_known_channel(&messages[index].0, &messages[index].1).unwrap();
    }
    if about == About::Last {
        metadata(&mut writer);
    }
    writer.finish().unwrap();
    drop(writer);
    output.into_inner()
}

fn none() -> WriteOptions {
    WriteOptions::new().compression(None)
}

/// The file with each chunk compressed as LZ4, which this build of the `mcap` crate does not write, and without a summary.
fn with_lz4(bytes: &[u8]) -> Vec<u8> {
    let mut out = mcap::MAGIC.to_vec();
    let mut rest = &bytes[mcap::MAGIC.len()..];
    let mut put = |opcode: u8, data: &[u8]| {
        out.push(opcode);
        out.extend((data.len() as u64).to_le_bytes());
        out.extend(data);
    };
    loop {
        let opcode = rest[0];
        let length = u64::from_le_bytes(rest[1..9].try_into().unwrap()) as usize;
        let data = &rest[9..9 + length];
        rest = &rest[9 + length..];
        if opcode == op::DATA_END {
            break;
        }
        match mcap::parse_record(opcode, data).unwrap() {
            Record::Chunk { header, data } => {
                assert_eq!(header.compression, "");
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(&data).unwrap();
                let packed = encoder.finish().unwrap();
                let mut chunk = Vec::new();
                chunk.extend(header.message_start_time.to_le_bytes());
                chunk.extend(header.message_end_time.to_le_bytes());
                chunk.extend(header.uncompressed_size.to_le_bytes());
                chunk.extend(header.uncompressed_crc.to_le_bytes());
                chunk.extend(3u32.to_le_bytes());
                chunk.extend(b"lz4");
                chunk.extend((packed.len() as u64).to_le_bytes());
                chunk.extend(packed);
                put(op::CHUNK, &chunk);
            }
            Record::MessageIndex(_) => {}
            _ => put(opcode, data),
        }
    }
    put(op::DATA_END, &[0; 4]);
    put(op::FOOTER, &[0; 20]);
    out.extend(mcap::MAGIC);
    out
}

#[track_caller]
fn assert_reads_equal(bytes: &[u8]) {
    let (was, is) = (parse(&recording()).unwrap(), parse(bytes).unwrap());
    assert_eq!((was.start, was.steps, was.ticks, was.end), (is.start, is.steps, is.ticks, is.end));
    assert_eq!((was.attachments, was.complete, was.lost), (is.attachments, is.complete, is.lost));
}

#[test]
fn every_compression_and_layout_is_read_equal() {
    let bytes = recording();
    let as_it_was = |index: usize, _: &str, _: &MessageHeader| index;
    let uncompressed = rewritten(&bytes, none(), About::First, as_it_was);
    assert_reads_equal(&uncompressed);
    assert_reads_equal(&with_lz4(&uncompressed));
    let zstd = WriteOptions::new().compression(Some(Compression::Zstd)).chunk_size(Some(300));
    assert_reads_equal(&rewritten(&bytes, zstd, About::First, as_it_was));
    assert_reads_equal(&rewritten(&bytes, none().use_chunks(false), About::First, as_it_was));
    let bare = none().emit_summary_records(false).emit_summary_offsets(false).emit_message_indexes(false);
    assert_reads_equal(&rewritten(&bytes, bare, About::First, as_it_was));
    // The metadata come last, and messages are sorted by time.
    assert_reads_equal(&rewritten(&bytes, none(), About::Last, as_it_was));
    assert_reads_equal(&rewritten(&bytes, none(), About::First, |_, _, header| header.log_time));
}

#[test]
fn another_order_is_refused_with_these_words() {
    let bytes = recording();
    let by_topic = |_: usize, topic: &str, header: &MessageHeader| (topic.to_string(), header.log_time);
    for about in [About::First, About::Last] {
        let error = parse(&rewritten(&bytes, none(), about, by_topic)).unwrap_err();
        assert!(matches!(error, RecordingError::Reordered { .. }), "{error}");
        assert!(error.to_string().contains("order of its messages was changed"), "{error}");
    }
    let backwards = |index: usize, _: &str, _: &MessageHeader| usize::MAX - index;
    let error = parse(&rewritten(&bytes, none(), About::First, backwards)).unwrap_err();
    assert!(matches!(error, RecordingError::Reordered { .. }), "{error}");
}

#[test]
fn unsupported_not_ours_cut_off_and_damaged_are_four_errors() {
    let bytes = recording();
    let as_it_was = |index: usize, _: &str, _: &MessageHeader| index;
    let without = parse(&rewritten(&bytes, none(), About::Nowhere, as_it_was)).unwrap_err();
    assert!(
        matches!(&without, RecordingError::NotAnEpisode { found, .. } if found.contains("left it out")),
        "{without}"
    );
    let mut foreign = Cursor::new(Vec::new());
    let mut writer = none().create(&mut foreign).unwrap();
    let schema = writer.add_schema("std_msgs/msg/String", "ros2msg", b"string data").unwrap();
    let channel_id = writer.add_channel(schema, "/chatter", "cdr", &Default::default()).unwrap();
    let header = MessageHeader { channel_id, sequence: 0, log_time: 1, publish_time: 1 };
    writer.write_to_known_channel(&header, b"\0\x01\0\0\x02\0\0\0a\0").unwrap();
    writer.finish().unwrap();
    drop(writer);
    let foreign = foreign.into_inner();
    let error = parse(&foreign).unwrap_err();
    assert!(
        matches!(&error, RecordingError::NotAnEpisode { found, .. } if found.contains("another program")),
        "{error}"
    );
    assert!(matches!(parse(&bytes[..40]), Err(RecordingError::CutOff { .. })));
    // The first chunk's content: found by its checksum.
    let uncompressed = rewritten(&bytes, none(), About::First, as_it_was);
    let at = uncompressed.windows(5).position(|part| part == b"knife").unwrap();
    let mut damaged = uncompressed;
    damaged[at] ^= 1;
    let error = parse(&damaged).unwrap_err();
    assert!(matches!(&error, RecordingError::Damaged { .. }), "{error}");
    // A chunk of a compression that nothing here reads.
    let mut odd = with_lz4(&rewritten(&bytes, none(), About::First, as_it_was));
    let at = odd.windows(7).position(|part| part == b"\x03\0\0\0lz4").unwrap();
    odd[at + 6] = b'9';
    assert!(matches!(parse(&odd), Err(RecordingError::Unsupported { .. })));
    let texts = [error, without, parse(&odd).unwrap_err(), parse(&bytes[..40]).unwrap_err()];
    assert!(texts.iter().all(|error| !error.to_string().contains("delete")));
    assert!(matches!(
        parse(&{
            let mut output = Cursor::new(Vec::new());
            let mut writer = none().create(&mut output).unwrap();
            let metadata = [("format_version".to_string(), "2".to_string())].into();
            writer.write_metadata(&Metadata { name: METADATA_NAME.into(), metadata }).unwrap();
            writer.finish().unwrap();
            drop(writer);
            output.into_inner()
        }),
        Err(RecordingError::Version { .. })
    ));
}
