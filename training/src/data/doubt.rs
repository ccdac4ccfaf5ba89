//! One thing that is probably wrong with some pairs, in words.

/// Maximum number of pairs or names that a message lists.
const SHOWN: usize = 6;

/// Something that is probably wrong with some pairs.
pub struct Doubt<'a> {
    /// The finding, as the beginning of a sentence that ends with the number of pairs.
    pub what: &'a str,
    /// The pairs in which it is so, each with its figures.
    pub each: Vec<String>,
    /// The advice, as a sentence without its full stop.
    pub mend: &'a str,
}

impl Doubt<'_> {
    /// Makes sentences of the doubt; `None` where it is so in no pair.
    pub fn in_words(&self) -> Option<String> {
        let Self { what, each, mend } = self;
        let pairs = if each.len() == 1 { "pair" } else { "pairs" };
        (!each.is_empty()).then(|| format!("{what} in {} {pairs}: {}. {mend}", each.len(), shorten(each)))
    }
}

/// Joins entries of a list to words, and counts those beyond the first few.
pub fn shorten(entries: &[String]) -> String {
    let shown = entries.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    match entries.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
