use super::*;
use crate::ckks::schedule::Keys;
use crate::ckks::{Parameters, Random, Request};

struct Files {
    context: Context,
    secret: SecretKey,
    keys: EvaluationKeys,
    bundle: Bundle,
    bytes: [Vec<u8>; 3],
}

fn files(request: &Request) -> Files {
    let context = Context::new(&Parameters::choose(request).unwrap()).unwrap();
    let mut random = Random::seeded(5);
    let secret = SecretKey::generate(&context, &mut random);
    let wanted = Keys { relinearize: Some(2), conjugate: Some(0), rotate: [(1, 2), (3, 1)].into() };
    let keys = EvaluationKeys::generate(&context, &secret, &wanted, &mut random).unwrap();
    let fresh = Ciphertext::encrypt(&context, &secret, &vec![1.5; context.slots()], &mut random).unwrap();
    let product = context.mul(&fresh, &fresh);
    let low = context.drop_to(&fresh, 0);
    let bundle: Bundle =
        [("a".into(), vec![fresh, product]), ("none".into(), vec![]), ("b".into(), vec![low])].into();
    let mut bytes = [Vec::new(), Vec::new(), Vec::new()];
    secret.write(&context, &mut bytes[0]).unwrap();
    keys.write(&context, &mut bytes[1]).unwrap();
    context.write(&bundle, &mut bytes[2]).unwrap();
    Files { context, secret, keys, bundle, bytes }
}

/// Reads bytes as each kind of file; the kinds that were accepted.
fn accepted(context: &Context, bytes: &[u8]) -> Vec<Result<(), Code>> {
    let length = bytes.len() as u64;
    let secret = SecretKey::read(context, &mut &bytes[..], length).map(|_| ());
    let keys = EvaluationKeys::read(context, &mut &bytes[..], length).map(|_| ());
    let bundle = context.read(&mut &bytes[..], length).map(|_| ());
    [secret, keys, bundle].into_iter().map(|result| result.map_err(|error| error.code)).collect()
}

#[test]
fn everything_comes_back() {
    let files = files(&Request::toy(64, 2));
    let length = |k: usize| files.bytes[k].len() as u64;
    let secret = SecretKey::read(&files.context, &mut &files.bytes[0][..], length(0)).unwrap();
    assert_eq!(
        (&secret.ternary, &secret.rows, secret.owner),
        (&files.secret.ternary, &files.secret.rows, files.secret.owner)
    );
    let keys = EvaluationKeys::read(&files.context, &mut &files.bytes[1][..], length(1)).unwrap();
    assert_eq!(keys, files.keys);
    let bundle = files.context.read(&mut &files.bytes[2][..], length(2)).unwrap();
    assert_eq!(bundle, files.bundle);
    let opened = bundle["a"][1].decrypt(&files.context, &secret).unwrap();
    assert!(opened.slots.iter().all(|x| (x - 2.25).abs() < 1e-8));
    for (kind, bytes) in files.bytes.iter().enumerate() {
        let accepted = accepted(&files.context, bytes);
        for (other, result) in accepted.into_iter().enumerate() {
            assert_eq!(result, if other == kind { Ok(()) } else { Err(Code::Format) });
        }
    }
}

#[test]
fn cut_files_and_flipped_bits_are_errors() {
    let files = files(&Request::toy(8, 2));
    for bytes in &files.bytes {
        for cut in 0..bytes.len() {
            assert!(accepted(&files.context, &bytes[..cut]).iter().all(Result::is_err));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(accepted(&files.context, &longer).iter().all(Result::is_err));
        let mut flipped = bytes.clone();
        for bit in 0..bytes.len() * 8 {
            flipped[bit / 8] ^= 1 << (bit % 8);
            let results = accepted(&files.context, &flipped);
            assert!(results.iter().all(Result::is_err), "bit {bit}");
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn other_parameters_and_versions_are_told_apart() {
    let files = files(&Request::toy(64, 2));
    let other = Context::new(&Parameters::choose(&Request::toy(64, 3)).unwrap()).unwrap();
    for (kind, bytes) in files.bytes.iter().enumerate() {
        assert_eq!(accepted(&other, bytes)[kind], Err(Code::WrongParameters));
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(accepted(&files.context, &newer)[kind], Err(Code::Version));
        let mut damaged = bytes.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        assert_eq!(accepted(&files.context, &damaged)[kind], Err(Code::Checksum));
    }
}

#[test]
fn a_claimed_size_is_checked_before_memory_is_asked_for() {
    let files = files(&Request::toy(8, 2));
    // A count of 2^32 - 1 keys or names, and a length of 2^64 - 1 bytes.
    for kind in 1..3 {
        let mut bytes = files.bytes[kind].clone();
        bytes[HEADER as usize..HEADER as usize + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(accepted(&files.context, &bytes).iter().all(Result::is_err));
        let mut bytes = files.bytes[kind].clone();
        bytes[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(accepted(&files.context, &bytes).iter().all(Result::is_err));
    }
}

#[cfg(unix)]
#[test]
fn files_are_written_whole_and_secrets_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let files = files(&Request::toy(64, 2));
    let folder = std::env::temp_dir().join(format!("einc-ckks-store-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    files.secret.save(&files.context, &path("secret")).unwrap();
    files.keys.save(&files.context, &path("keys")).unwrap();
    files.context.save(&files.bundle, &path("data")).unwrap();
    let mode = std::fs::metadata(path("secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(SecretKey::load(&files.context, &path("secret")).unwrap().owner(), files.secret.owner());
    assert_eq!(EvaluationKeys::load(&files.context, &path("keys")).unwrap(), files.keys);
    assert_eq!(files.context.load(&path("data")).unwrap(), files.bundle);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
    assert_eq!(files.context.load(&path("missing")).unwrap_err().code, Code::Io);
    let error = files.context.load(&path("keys")).unwrap_err();
    assert!(error.message.contains("the file holds evaluation keys, not ciphertexts"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
