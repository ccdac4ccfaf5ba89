//! `kill -9` at random moments, a full disk, and two processes with the same seeds. Needs a Vulkan device.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{SEED, Toy};
use portrait_dataset::claim::Claim;
use portrait_dataset::manifest::{PAIR, PAIR_FILES};
use portrait_dataset::pair;
use portrait_dataset::seeds::seed_folder;

const KILLS: u64 = 8;
const SEEDS: std::ops::Range<u64> = SEED..SEED + 40;

/// A data folder with the same scene for each seed.
fn scenes() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let first = Toy::default().write(data.path());
    for seed in SEEDS.skip(1) {
        let folder = seed_folder(data.path(), seed);
        std::fs::create_dir(&folder).unwrap();
        for file in files(&first) {
            std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
        }
    }
    data
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn render(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portrait-dataset"));
    command.args(["render", "--seeds", &format!("{}..{}", SEEDS.start, SEEDS.end), "--data"]).arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Seeds whose pair is finished; every image that has a final name is decoded.
fn finished(data: &Path) -> BTreeSet<u64> {
    for seed in SEEDS {
        for path in PAIR_FILES.map(|name| seed_folder(data, seed).join(name)).iter().filter(|path| path.exists()) {
            image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    SEEDS.filter(|&seed| pair::finished(data, seed).unwrap().is_some()).collect()
}

#[test]
fn rendering_that_is_killed_leaves_whole_pairs_and_goes_on_to_the_same_pixels() {
    let data = scenes();
    let data = data.path();
    let (mut before, mut while_writing) = (BTreeSet::new(), 0);
    // Fractions of the golden ratio are spread evenly, in no order.
    let delays_ms = (1..=KILLS).map(|round| (round as f64 * 0.618_034).fract() * 120.0);
    for delay_ms in delays_ms {
        let mut child = render(data).spawn().unwrap();
        // Until it has made one more.
        let next = seed_folder(data, SEEDS.start + before.len() as u64).join(PAIR);
        while !next.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_micros((delay_ms * 1000.0) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = finished(data);
        assert!(after.is_superset(&before), "finished pairs were lost: {before:?}, then {after:?}");
        let partial =
            |seed| !seed_folder(data, seed).join(PAIR).exists() && seed_folder(data, seed).join(PAIR_FILES[0]).exists();
        while_writing += usize::from(SEEDS.into_iter().any(partial));
        before = after;
    }
    println!("{KILLS} kills, {while_writing} of them in a pair; {} pairs were finished", before.len());
    assert!(render(data).status().unwrap().success());
    assert_eq!(finished(data), SEEDS.collect::<BTreeSet<_>>());
    let contents = |seed| PAIR_FILES.map(|name| std::fs::read(seed_folder(data, seed).join(name)).unwrap());
    for seed in SEEDS {
        assert!(contents(seed) == contents(SEEDS.end - 1), "seed {seed} has other pixels than one that was not killed");
        let left = files(&seed_folder(data, seed));
        assert_eq!(left.len(), 5 + PAIR_FILES.len() + 1, "what killed processes left is still there: {left:?}");
    }
}

#[test]
fn a_second_process_with_the_same_seeds_refuses() {
    let data = scenes();
    let claim = Claim::take(data.path(), &"0..8".parse().unwrap(), 1).unwrap();
    let begin = Instant::now();
    let output = render(data.path()).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [data.path().to_str().unwrap(), "another `portrait-dataset render`", "seeds 0..8", "seeds of its own"] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    assert!(begin.elapsed() < Duration::from_secs(60) && finished(data.path()).is_empty());
    drop(claim);
}

#[test]
fn a_full_disk_is_named_and_leaves_no_half_pair() {
    let data = scenes();
    // No block at all: the first image is too large already.
    let limited = r#"trap '' XFSZ; ulimit -f 0; exec "$0" "$@""#;
    let command = render(data.path());
    let output = Command::new("sh").args(["-c", limited]).arg(command.get_program()).args(command.get_args()).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["first.png", "disk is full", "make room", "run the same command again"] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    assert!(finished(data.path()).is_empty());
    assert_eq!(files(&seed_folder(data.path(), SEED)).len(), 5);
}
