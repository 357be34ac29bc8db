//! The library: which files are shown, in which order, under which name.
//!
//! Invariant: the result is an ordering of indices into the snapshot's files; nothing is copied or kept, so the list can never
//! disagree with the node. Sorting is stable and total: equal files stay in the order of their names and ids.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use shared::{ContentId, MediaKind, snapshot::NetworkFile};

use super::format;

const LINK_SCHEME: &str = "rusteze:";

/// What the list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortKey {
    /// Title, or file name without one.
    #[default]
    Name,
    /// Bytes.
    Size,
    /// Length of the media.
    Duration,
    /// How many nodes have it.
    Sources,
}

impl SortKey {
    /// All keys, in menu order.
    pub const ALL: [Self; 4] = [Self::Name, Self::Duration, Self::Size, Self::Sources];

    /// What the menu calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::Size => "Size",
            Self::Duration => "Length",
            Self::Sources => "Sources",
        }
    }
}

/// How files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Covers in a grid.
    #[default]
    Grid,
    /// One row a file.
    List,
}

/// The person's wishes about the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Words that must all occur, in any field and any order.
    pub search: String,
    /// What the list is ordered by.
    pub sort: SortKey,
    /// Largest first (for names: Z first).
    pub is_descending: bool,
}

/// The link by which any client of the network finds a content: in its search field, or after `--play`.
pub fn link(content_id: &ContentId) -> String {
    format!("{LINK_SCHEME}{content_id}")
}

/// The content a link, a gateway's address or a bare id names.
pub fn parse_link(text: &str) -> Option<ContentId> {
    let text = text.trim();
    let id = text.strip_prefix(LINK_SCHEME).or_else(|| text.rsplit_once("/stream/").map(|(_, id)| id));
    id.unwrap_or(text).parse().ok()
}

/// Indices into `files` of what `query` selects, in its order.
pub fn arrange(files: &[NetworkFile], query: &Query) -> Vec<usize> {
    if let Some(content_id) = parse_link(&query.search) {
        return files.iter().position(|file| file.content_id == content_id).into_iter().collect();
    }
    let words: Vec<String> = query.search.split_whitespace().map(str::to_lowercase).collect();
    let mut rows: Vec<(usize, String)> = files
        .iter()
        .enumerate()
        .filter(|(_, file)| matches_all(file, &words))
        .map(|(index, file)| (index, natural_key(title(file))))
        .collect();
    rows.sort_by(|(a, a_name), (b, b_name)| {
        let (a, b) = (&files[*a], &files[*b]);
        let by_key = match query.sort {
            SortKey::Name => Ordering::Equal,
            SortKey::Size => a.size.cmp(&b.size),
            SortKey::Duration => a.duration_ms.cmp(&b.duration_ms),
            SortKey::Sources => a.sources.cmp(&b.sources),
        };
        let by_name = a_name.cmp(b_name).then_with(|| a.content_id.cmp(&b.content_id));
        match (query.sort, query.is_descending) {
            (SortKey::Name, true) => by_name.reverse(),
            (_, true) => by_key.reverse().then(by_name),
            (_, false) => by_key.then(by_name),
        }
    });
    rows.into_iter().map(|(index, _)| index).collect()
}

/// What to call the file: its title tag, or its name without the extension.
pub fn title(file: &NetworkFile) -> &str {
    if !file.title.trim().is_empty() {
        return file.title.trim();
    }
    match file.name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => stem,
        _ => &file.name,
    }
}

/// The line under the title: who made it, or what it is.
pub fn subtitle(file: &NetworkFile) -> String {
    let mut parts = Vec::new();
    match file.kind {
        MediaKind::Audio => {
            parts.extend(
                [file.artist.trim(), file.album.trim()]
                    .into_iter()
                    .filter(|s| !s.is_empty())
                    .map(str::to_owned),
            );
        }
        MediaKind::Video => parts.push(format::resolution(file.width, file.height)),
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() {
        parts.extend(file.codecs.iter().take(2).map(|codec| codec.to_uppercase()));
    }
    parts.join(" · ")
}

/// `here`, `3 sources`: where its bytes are.
pub fn availability(file: &NetworkFile) -> String {
    if file.is_local {
        return "On this computer".to_owned();
    }
    match file.sources {
        0 => "No source right now".to_owned(),
        sources => format::count(u64::from(sources), "source", "sources"),
    }
}

/// Who has all of it, as a sentence.
pub fn who_has(file: &NetworkFile) -> String {
    let peers = u64::from(file.sources).saturating_sub(u64::from(file.at_origin));
    let peers_words = format::count(peers, "peer", "peers");
    let have = if peers == 1 { "has" } else { "have" };
    let others = match (file.at_origin, peers) {
        (true, 0) => "The tracker has all of it".to_owned(),
        (true, _) => format!("The tracker and {peers_words} have all of it"),
        (false, 0) => "Nobody who has all of it is there right now".to_owned(),
        (false, _) => format!("{peers_words} {have} all of it"),
    };
    if file.is_local { format!("On this computer. {others}") } else { others }
}

/// Finds what `--play` names: an id, `first`, a file name, a title, or else the first file whose text contains it.
pub fn find<'a>(files: &'a [NetworkFile], order: &[usize], wanted: &str) -> Option<&'a NetworkFile> {
    if wanted.eq_ignore_ascii_case("first") {
        return order.first().and_then(|index| files.get(*index));
    }
    if let Some(content_id) = parse_link(wanted) {
        return files.iter().find(|file| file.content_id == content_id);
    }
    let lower = wanted.to_lowercase();
    files
        .iter()
        .find(|file| file.name.to_lowercase() == lower || title(file).to_lowercase() == lower)
        .or_else(|| files.iter().find(|file| matches_all(file, std::slice::from_ref(&lower))))
}

/// What plays after (`step` 1) or before (`step` -1) `current` in the order shown.
pub fn neighbour<'a>(
    files: &'a [NetworkFile],
    order: &[usize],
    current: &ContentId,
    step: isize,
) -> Option<&'a NetworkFile> {
    let position =
        order.iter().position(|index| files.get(*index).is_some_and(|f| f.content_id == *current))?;
    let next = position.checked_add_signed(step)?;
    files.get(*order.get(next)?)
}

fn matches_all(file: &NetworkFile, words: &[String]) -> bool {
    let fields = [&file.name, &file.title, &file.artist, &file.album];
    words.iter().all(|word| fields.iter().any(|field| field.to_lowercase().contains(word.as_str())))
}

/// Folds case and pads numbers, so that `Track 2` comes before `Track 10`.
fn natural_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + 16);
    let mut digits = String::new();
    for letter in name.chars().flat_map(char::to_lowercase).chain(['\0']) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        if !digits.is_empty() {
            let trimmed = digits.trim_start_matches('0');
            key.extend(std::iter::repeat_n('0', 20_usize.saturating_sub(trimmed.len())));
            key.push_str(trimmed);
            digits.clear();
        }
        key.push(letter);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_must_occur_somewhere() {
        let mut files = vec![file(1, "Blue Train.flac"), file(2, "Blue in Green.flac")];
        files[0].artist = "John Coltrane".to_owned();
        let query = |search: &str| Query { search: search.to_owned(), ..Query::default() };
        assert_eq!(arrange(&files, &query("blue")), [1, 0]);
        assert_eq!(arrange(&files, &query("COLTRANE blue")), [0]);
        assert_eq!(arrange(&files, &query("blue monk")), [] as [usize; 0]);
    }

    #[test]
    fn numbers_in_names_sort_by_value() {
        let files = [file(1, "Track 10.mp3"), file(2, "track 2.mp3"), file(3, "Track 1.mp3")];
        assert_eq!(arrange(&files, &Query::default()), [2, 1, 0]);
    }

    #[test]
    fn equal_keys_fall_back_to_the_name_in_both_directions() {
        let mut files = [file(1, "b"), file(2, "a"), file(3, "c")];
        files[2].size = 9;
        let mut query = Query { sort: SortKey::Size, ..Query::default() };
        assert_eq!(arrange(&files, &query), [1, 0, 2]);
        query.is_descending = true;
        assert_eq!(arrange(&files, &query), [2, 1, 0]);
    }

    #[test]
    fn a_title_tag_goes_before_the_file_name() {
        let mut tagged = file(1, "01 - x.mp3");
        assert_eq!(title(&tagged), "01 - x");
        tagged.title = "So What".to_owned();
        assert_eq!(title(&tagged), "So What");
        assert_eq!(title(&file(2, ".mp3")), ".mp3");
    }

    #[test]
    fn play_finds_by_id_by_name_and_by_part() {
        let files = [file(1, "Alpha.mp4"), file(2, "Beta.mp4")];
        let order = arrange(&files, &Query { is_descending: true, ..Query::default() });
        let found = |wanted: &str| find(&files, &order, wanted).map(|file| file.name.as_str());
        assert_eq!(found("first"), Some("Beta.mp4"));
        assert_eq!(found(&files[0].content_id.to_string()), Some("Alpha.mp4"));
        assert_eq!(found("beta"), Some("Beta.mp4"));
        assert_eq!(found("lph"), Some("Alpha.mp4"));
        assert_eq!(found("gamma"), None);
    }

    #[test]
    fn who_has_it_is_told_as_a_sentence() {
        let mut file = file(1, "x");
        file.sources = 3;
        assert_eq!(who_has(&file), "3 peers have all of it");
        file.at_origin = true;
        assert_eq!(who_has(&file), "The tracker and 2 peers have all of it");
        file.sources = 1;
        assert_eq!(who_has(&file), "The tracker has all of it");
        (file.sources, file.at_origin) = (0, false);
        assert_eq!(who_has(&file), "Nobody who has all of it is there right now");
    }

    #[test]
    fn a_link_finds_its_file_in_the_search_and_for_play() {
        let files = [file(1, "Alpha.mp4"), file(2, "Beta.mp4")];
        let id = files[1].content_id;
        for text in [link(&id), format!(" {id} "), format!("http://127.0.0.1:8080/stream/{id}")] {
            assert_eq!(parse_link(&text), Some(id));
            assert_eq!(arrange(&files, &Query { search: text.clone(), ..Query::default() }), [1]);
            assert_eq!(find(&files, &[0, 1], &text).map(|file| file.name.as_str()), Some("Beta.mp4"));
        }
        assert_eq!(parse_link("beta"), None);
        let unknown = Query { search: link(&ContentId([9; 32])), ..Query::default() };
        assert_eq!(arrange(&files, &unknown), [] as [usize; 0]);
    }

    #[test]
    fn neighbours_end_at_the_ends_of_the_list() {
        let files = [file(1, "a"), file(2, "b")];
        let order = [1, 0];
        let next = |current: usize, step| neighbour(&files, &order, &files[current].content_id, step);
        assert_eq!(next(1, 1).map(|f| f.name.as_str()), Some("a"));
        assert_eq!(next(1, -1), None);
        assert_eq!(next(0, 1), None);
        assert_eq!(neighbour(&files, &order, &ContentId([9; 32]), 1), None);
    }

    fn file(id: u8, name: &str) -> NetworkFile {
        NetworkFile {
            content_id: ContentId([id; 32]),
            name: name.to_owned(),
            size: 1,
            kind: MediaKind::Audio,
            duration_ms: 1,
            bitrate: 1,
            codecs: vec![],
            container: String::new(),
            width: 0,
            height: 0,
            title: String::new(),
            artist: String::new(),
            album: String::new(),
            sources: 1,
            at_origin: false,
            has_cover: false,
            is_local: false,
        }
    }
}
