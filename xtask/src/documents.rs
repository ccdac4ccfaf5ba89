//! The documents hold together: no link leads nowhere, and the README's program is the example.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::run::workspace_root;

/// The files of a repository whose names end in `.md`, those that are new included.
fn markdown_files(root: &Path) -> Result<Vec<PathBuf>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"];
    let output = Command::new("git").args(list).current_dir(root).output().context("cannot start git")?;
    ensure!(output.status.success(), "git lists no files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout)?;
    Ok(names.split_terminator('\0').map(|name| root.join(name)).filter(|path| path.is_file()).collect())
}

/// The links of a document, and the anchors that links can lead to.
#[derive(Default)]
struct Document {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

impl Document {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH;
        let (mut document, mut heading, mut seen) = (Self::default(), None::<String>, HashMap::new());
        for event in Parser::new_ext(&text, options) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = slug(&heading.take().unwrap_or_default());
                    let count = seen.entry(anchor.clone()).and_modify(|count| *count += 1).or_insert(0);
                    document.anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.into_string());
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    document.links.extend(["src", "href"].into_iter().flat_map(|name| attributes(&html, name)));
                    document.anchors.extend(["id", "name"].into_iter().flat_map(|name| attributes(&html, name)));
                }
                _ => {}
            }
        }
        Ok(document)
    }
}

/// The anchor that GitHub gives a heading: lower case, spaces as hyphens, without punctuation.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => (letter.is_alphabetic() || letter.is_ascii_digit()).then_some(letter),
    });
    kept.collect::<String>().to_lowercase()
}

/// The values of an attribute in a piece of HTML.
fn attributes(html: &str, name: &str) -> Vec<String> {
    let start = format!(" {name}=\"");
    html.split(&start).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.into())).collect()
}

/// One line for each link of the documents of a repository that leads to no file or to no heading.
fn dead_links(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut dead = Vec::new();
    for file in files {
        for link in Document::read(file)?.links {
            if let Some(reason) = reason_for_death(root, file, &link)? {
                dead.push(format!("{}: {link}: {reason}", file.strip_prefix(root)?.display()));
            }
        }
    }
    Ok(dead)
}

fn reason_for_death(root: &Path, file: &Path, link: &str) -> Result<Option<String>> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(None);
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let path = path.replace("%20", " ");
    let target = match path.strip_prefix('/') {
        Some(path) => root.join(path),
        None if path.is_empty() => file.into(),
        None => file.parent().unwrap_or(root).join(&path),
    };
    if !target.exists() {
        return Ok(Some("there is no such file".into()));
    }
    let Some(anchor) = anchor else { return Ok(None) };
    // In other files an anchor is a line's number.
    if target.extension().is_none_or(|extension| extension != "md") {
        return Ok(None);
    }
    let anchors = Document::read(&target)?.anchors;
    Ok((!anchors.contains(anchor)).then(|| format!("the file has no such heading, but {anchors:?}")))
}

#[test]
fn no_link_of_the_documents_is_dead() -> Result<()> {
    let root = workspace_root();
    let files = markdown_files(&root)?;
    ensure!(files.contains(&root.join("README.md")), "the README is not among {files:?}");
    let dead = dead_links(&root, &files)?;
    ensure!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
    Ok(())
}

#[test]
fn a_link_to_a_missing_file_or_heading_is_dead_and_every_other_is_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    std::fs::create_dir_all(root.join("docs/a room"))?;
    std::fs::write(root.join("docs/a room/picture.png"), "")?;
    std::fs::write(
        root.join("docs/other.md"),
        "# Does it `hold` still?\n\n## Twice\n\n## Twice\n\n<a id=\"by-hand\"></a>\n",
    )?;
    let document = root.join("README.md");
    let alive = "# The end: 256² pixels\n\n[here](#the-end-256-pixels) [there](docs/other.md#does-it-hold-still) [again](docs/other.md#twice-1)
[by hand](/docs/other.md#by-hand) [far](https://example.org/#x) ![picture](docs/a%20room/picture.png) [later]\n
<img alt=\"\" src=\"docs/a room/picture.png\">\n\n[later]: docs/other.md\n\n`[code](nowhere.md)`\n";
    std::fs::write(&document, alive)?;
    assert_eq!(dead_links(root, std::slice::from_ref(&document))?, Vec::<String>::new());
    for dead in
        ["[x](nowhere.md)", "![x](docs/nowhere.png)", "[x](docs/other.md#thrice)", "[x](#gone)", "<img src=\"no.png\">"]
    {
        std::fs::write(&document, format!("# Title\n\n{dead}\n"))?;
        assert_eq!(dead_links(root, std::slice::from_ref(&document))?.len(), 1, "{dead}");
    }
    Ok(())
}

#[test]
fn the_example_minimal_is_the_program_of_the_readme() -> Result<()> {
    let read = |file: &str| std::fs::read_to_string(workspace_root().join(file)).with_context(|| file.to_string());
    let (readme, example) = (read("README.md")?, read("examples/minimal.rs")?);
    let program = crate::package::block(&readme, "rust")?;
    let lines = example.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    let example: Vec<&str> = lines.collect();
    assert_eq!(
        example,
        program.lines().collect::<Vec<_>>(),
        "examples/minimal.rs (left) is not the README's block (right)"
    );
    Ok(())
}
