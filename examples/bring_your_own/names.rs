//! Names say whether a bone is a head's, and whether a part is an eye.

/// These words name an eye and the layers on it, with or without a side.
const EYES: [&str; 4] = ["eye", "eyeball", "cornea", "sclera"];
const SIDES: [&str; 4] = ["left", "right", "l", "r"];
/// These words name what lies beside an eye, with or without `eye` before them.
const BESIDE: [&str; 17] = [
    "brow",
    "caruncle",
    "corner",
    "gland",
    "glasses",
    "lash",
    "lashes",
    "lid",
    "line",
    "liner",
    "occlusion",
    "patch",
    "shadow",
    "socket",
    "tear",
    "tearline",
    "wear",
];

/// Returns whether the last word of a name is "head", whatever stands before or after it: `mixamorig:Head`, `CC_Base_Head`, `head.x`, but not
/// `HeadTop_End` or `Forehead`.
pub fn is_head(name: &str) -> bool {
    // Single letters are sides.
    words(name).iter().rfind(|word| word.len() > 1).is_some_and(|word| word == "head")
}

/// Returns whether a part with these names is an eye: the first name that speaks of an eye, or of what lies beside one, decides.
pub fn name_an_eye<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    names.into_iter().find_map(says_eye).unwrap_or(false)
}

/// Returns whether a name is an eye's, such as `Wolf3D_Eyes`, `EyeLeft`, `eye_l` and `LeftEyeball`, or that of something beside an eye, such
/// as `Eyelashes`, `eye_brow` and `EyeOcclusion`; `None` where it is neither.
fn says_eye(name: &str) -> Option<bool> {
    let words = words(name);
    if words.iter().any(|word| is_one_of(&BESIDE, word.strip_prefix("eye").unwrap_or(word))) {
        return Some(false);
    }
    words.iter().any(|word| is_eye(word)).then_some(true)
}

fn is_eye(word: &str) -> bool {
    let is_side_of_one = |side: &&str| {
        let without = [word.strip_prefix(*side), word.strip_suffix(*side)];
        without.into_iter().flatten().any(|word| EYES.contains(&word))
    };
    is_one_of(&EYES, word) || SIDES.iter().any(is_side_of_one)
}

/// Returns whether a word, or the word without a plural's `s`, is among these.
fn is_one_of(words: &[&str], word: &str) -> bool {
    words.contains(&word) || word.strip_suffix('s').is_some_and(|word| words.contains(&word))
}

/// Returns the words of a name in small letters. Some are empty.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        // A capital after a small letter begins a word, as in `mixamorigHead`.
        if !letter.is_alphabetic() || (letter.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    words
}
