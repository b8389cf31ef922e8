use proptest::prelude::*;

use super::*;

fn read(value: &Pickle) -> Values {
    run(&write(value), Vocabulary::Numpy).unwrap()
}

#[test]
fn what_is_written_is_read() {
    let numbers: Vec<f64> = (0..6).map(|i| f64::from(i) * 0.37 - 1.0).collect();
    let values = read(&Pickle::dict([
        ("array", Pickle::Floats(vec![2, 3], numbers.clone())),
        ("list", Pickle::List(vec![Pickle::Float(0.5), Pickle::Int(-7), Pickle::Bool(true)])),
        ("text", Pickle::Text("nimm das Messer – \u{1f52a}".into())),
        ("big", Pickle::Int(1 << 40)),
        ("nothing", Pickle::None),
    ]));
    let root = values.root();
    let of = |key| values.numbers(values.entry(root, key).unwrap(), 100);
    assert_eq!(of("array").unwrap(), (vec![2, 3], numbers));
    assert_eq!(of("list").unwrap(), (vec![3], vec![0.5, -7.0, 1.0]));
    assert_eq!(of("big").unwrap(), (vec![], vec![(1u64 << 40) as f64]));
    assert!(of("text").unwrap_err().contains("a string instead of numbers"));
    assert!(of("nothing").is_err());
}

#[test]
fn arrays_in_lists_keep_their_shape_and_unequal_ones_are_refused() {
    let row = |number| Pickle::Floats(vec![7], vec![number; 7]);
    let even = read(&Pickle::List(vec![row(1.0), row(2.0)]));
    assert_eq!(even.numbers(even.root(), 14).unwrap().0, [2, 7]);
    assert!(even.numbers(even.root(), 13).unwrap_err().contains("more than 13"));
    let uneven = read(&Pickle::List(vec![row(1.0), Pickle::Float(1.0)]));
    assert!(uneven.numbers(uneven.root(), 100).unwrap_err().contains("unequal"));
}

/// Written by numpy: `pickle.dumps(numpy.array([[1, 2, 3], [4, 5, 6]], ">i2", order="F"), protocol=4)`.
const BIG_ENDIAN_COLUMNS: &[u8] = b"\x80\x04\x95\x97\x00\x00\x00\x00\x00\x00\x00\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94h\x03\x8c\x05dtype\x94\x93\x94\x8c\x02i2\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01>\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x88C\x0c\x00\x01\x00\x04\x00\x02\x00\x05\x00\x03\x00\x06\x94t\x94b.";

#[test]
fn column_major_big_endian_integers_are_read() {
    let values = run(BIG_ENDIAN_COLUMNS, Vocabulary::Numpy).unwrap();
    assert_eq!(values.numbers(values.root(), 6).unwrap(), (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
}

#[test]
fn unknown_names_are_refused_and_nothing_is_executed() {
    for bytes in [&b"cposix\nsystem\nX\x02\x00\x00\x00id\x85R."[..], b"ctorch\nFloatStorage\n.", b"cnumpy\nload\n."] {
        assert!(run(bytes, Vocabulary::Numpy).unwrap_err().to_string().contains("nothing was executed"));
    }
    for (bytes, name) in [
        (&b"cnumpy\nload\n."[..], "`numpy.load`"),
        (b"cbuiltins\neval\n.", "`builtins.eval`"),
        (b"c__builtin__\ngetattr\n.", "`__builtin__.getattr`"),
        (b"ctorch\nload\n.", "`torch.load`"),
        (b"ctorch.hub\nload\n.", "`torch.hub.load`"),
    ] {
        let said = run(bytes, Vocabulary::Torch).unwrap_err().to_string();
        assert!(said.contains(name) && said.contains("nothing was executed"), "{said}");
    }
}

#[test]
fn an_array_larger_than_its_bytes_is_refused() {
    let mut bytes = write(&Pickle::Floats(vec![4, 7], vec![0.25; 28]));
    let shape = bytes.windows(5).position(|five| five == b"J\x04\0\0\0").unwrap();
    bytes[shape + 3] = 0x10;
    let values = run(&bytes, Vocabulary::Numpy).unwrap();
    assert!(values.numbers(values.root(), 1 << 40).unwrap_err().contains("do not fill it"));
}

/// Regression: 64 MiB of one instruction took 6.8 GiB.
#[test]
fn a_repeated_instruction_ends_at_the_budget() {
    let longest = Vocabulary::Numpy.longest();
    for (before, again) in [
        (&b""[..], &b"N"[..]),
        (b"", b"("),
        (b"", b"]"),
        (b"", b"K\x00"),
        (b"N\x94", b"h\x00"),
        (b"N", b"\x94"),
        (b"N\x94]", b"h\x00a"),
        (b"N\x94}", b"h\x00h\x00s"),
        (b"N", b"\x85"),
    ] {
        let mut bytes = before.to_vec();
        bytes.extend(again.iter().cycle().take((longest - before.len()) / again.len() * again.len()));
        let said = run(&bytes, Vocabulary::Numpy).unwrap_err();
        let PickleError::TooLarge(why) = &said else { panic!("{again:?}: {said:?}") };
        assert!(why.contains("more than 256 MiB for what the pickle unfolds to"), "{why}");
    }
    let name = [&b"X\x00\x00\x00\x01"[..], &vec![b'm'; 1 << 24], b"X\x01\x00\x00\x00n\x93."].concat();
    assert!(run(&name, Vocabulary::Numpy).unwrap_err().to_string().len() < 400);
}

/// What `torch.load(weights_only=True)` makes, beside tensors.
#[test]
fn plain_data_beside_weights_is_read() {
    let read = |bytes: &[u8]| run(bytes, Vocabulary::Torch).map(|values| format!("{:?}", values.get(values.root())));
    for (bytes, expected) in [
        // An integer of 71 bits; 2 ** 40.
        (&b"\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x40."[..], "Opaque"),
        (b"\x80\x02\x8a\x06\0\0\0\0\0\x01.", "Int(1099511627776)"),
        (b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R.", "Dict([])"),
        (b"\x80\x02ccollections\nCounter\n}U\x01aK\x01s\x85R.", "Dict([(2, 3)])"),
        (b"\x80\x02ccollections\nOrderedDict\n]](U\x01aK\x01ea\x85R.", "Dict([(3, 4)])"),
        (b"\x80\x02ctorch\nSize\nK\xe0K\xe0\x86\x85R.", "List([1, 2])"),
        (b"\x80\x02ctorch\ndevice\nU\x03cpu\x85R.", "Opaque"),
        (b"\x80\x02ctorch\nfloat32\n.", "Callable(Dtype(F32))"),
        (b"\x80\x02cargparse\nNamespace\n)\x81}U\x02lrK\x01sb.", "Opaque"),
        (b"\x80\x02cpathlib\nPosixPath\nU\x01/U\x01a\x86R.", "Opaque"),
        (b"\x80\x04\x8f(K\x01K\x02\x90.", "Opaque"),
    ] {
        assert_eq!(read(bytes).unwrap(), expected, "{bytes:?}");
    }
}

#[test]
fn a_pickle_in_front_of_others_says_where_it_ends() {
    let (values, length) = run_first(b"\x80\x02M\xe9\x03.\x80\x02}.", Vocabulary::Torch).unwrap();
    assert!(matches!(values.get(values.root()), Value::Int(1001)));
    assert_eq!(length, 6);
}

proptest! {
    #[test]
    fn damaged_arrays_never_panic(at in 0usize..1000, flip in 1u8..=255, cut in 0usize..1000) {
        let whole = write(&Pickle::dict([
            ("full_state", Pickle::rows(&[[0.5; 7]; 5])),
            ("list", Pickle::List(vec![Pickle::Floats(vec![], vec![1.0]); 3])),
        ]));
        for start in [whole.as_slice(), BIG_ENDIAN_COLUMNS] {
            let mut bytes = start.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            for bytes in [&bytes[..], &start[..cut % start.len()]] {
                if let Ok(values) = run(bytes, Vocabulary::Numpy) {
                    for id in 0..values.nodes.len() {
                        let _ = values.numbers(id, 10_000);
                    }
                }
            }
        }
    }
}
