//! Checkpoints of PyTorch, files of weights.

use super::*;

const CONVERT: &str = "convert model.pt out.safetensors";
const WEIGHTS: &str = "embed --encoder small --weights model.safetensors picture";

pub fn inputs() -> Vec<Input> {
    vec![
        input(
            "a checkpoint of 4 MiB whose 1000 tensors are the same 4 MiB",
            CONVERT,
            |at| {
                let mut pickle = tensors(1000, 1 << 20);
                pickle.resize(4 << 20, 0);
                put(at, "model.pt", checkpoint(&pickle, 2));
            },
            &["model.pt", "at most the 1048576 values that are stored, each once"],
        ),
        input(
            "a checkpoint: 8 MiB of one instruction",
            CONVERT,
            |at| put(at, "model.pt", checkpoint(&b"N".repeat(8 << 20), 1)),
            &["more than 128 MiB for what the pickle unfolds to"],
        ),
        input(
            "a checkpoint: a description of 40 MiB",
            CONVERT,
            |at| put(at, "model.pt", checkpoint(&b"N".repeat(40 << 20), 1)),
            &["its entry `m/data.pkl` unfolds to more than 8388608 bytes"],
        ),
        input(
            "a checkpoint: 1 TiB, sparse on disk",
            CONVERT,
            |at| hole(at, "model.pt", b"PK\x03\x04", 1 << 40),
            &["it has 1099511627776 bytes, at most 8589934592 are read"],
        ),
        input("a checkpoint: a pipe", CONVERT, |at| pipe(at, "model.pt"), &["it is a pipe, not a file"]),
        input(
            "a checkpoint: a link to /dev/zero",
            CONVERT,
            |at| link(at, "model.pt", "/dev/zero"),
            &["it is a device"],
        ),
        input(
            "weights: a tensor of shape [2^62, 4]",
            WEIGHTS,
            |at| {
                put(at, "picture", jpeg(16, 16));
                let header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,16]}}";
                put(at, "model.safetensors", safetensors(header));
            },
            &["model.safetensors", "not a safetensors file"],
        ),
        input(
            "weights: a description of 84 MB: a million empty tensors",
            WEIGHTS,
            |at| {
                put(at, "picture", jpeg(16, 16));
                let mut header = String::from("{");
                for tensor in 0..1_000_000 {
                    let comma = if tensor == 0 { "" } else { "," };
                    write!(header, "{comma}\"tensor_{tensor:012}\":{{\"dtype\":\"F32\",\"shape\":[0],").unwrap();
                    header.push_str("\"data_offsets\":[0,0]             }");
                }
                header.push('}');
                put(at, "model.safetensors", [safetensors(&header), vec![0; 8]].concat());
            },
            &["found a description of 84000001 bytes, expected at most 16777216"],
        ),
        input(
            "weights: a description of 2^63 bytes",
            WEIGHTS,
            |at| {
                put(at, "picture", jpeg(16, 16));
                put(at, "model.safetensors", (u64::MAX >> 1).to_le_bytes());
            },
            &["model.safetensors", "not a safetensors file"],
        ),
    ]
}
