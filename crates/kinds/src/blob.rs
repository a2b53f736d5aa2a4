//! The packed tables: strings are borrowed from the program's image, nothing is parsed before it is asked for. The writer
//! is `build.rs`; both sides change together.

/// What `build.rs` wrote.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tables.bin"));

const HEADER: usize = 28;

/// The sections of the blob.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blob {
    /// End offsets of the strings in `text`.
    ends: &'static [u8],
    /// (name, offset) pairs, sorted by the name's text.
    index: &'static [u8],
    text: &'static str,
    body: &'static [u8],
    groups_at: usize,
    features_at: usize,
    columns_at: usize,
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes[at..at + 4].try_into().expect("four bytes");
    usize::try_from(u32::from_le_bytes(bytes)).expect("usize has 32 bits or more")
}

impl Blob {
    pub(crate) fn packed() -> Self {
        let n_strings = u32_at(PACKED, 0);
        let n_text = u32_at(PACKED, 4);
        let n_index = u32_at(PACKED, 8);
        let (ends, rest) = PACKED[HEADER..].split_at(n_strings * 4);
        let (index, rest) = rest.split_at(n_index * 8);
        let (text, body) = rest.split_at(n_text);
        Self {
            ends,
            index,
            text: std::str::from_utf8(text).expect("the tables are UTF-8"),
            body,
            groups_at: u32_at(PACKED, 16),
            features_at: u32_at(PACKED, 20),
            columns_at: u32_at(PACKED, 24),
        }
    }

    fn string(&self, id: usize) -> &'static str {
        let start = if id == 0 { 0 } else { u32_at(self.ends, (id - 1) * 4) };
        &self.text[start..u32_at(self.ends, id * 4)]
    }

    /// How many struct types there are.
    pub(crate) fn n_types(&self) -> usize {
        self.index.len() / 8
    }

    pub(crate) fn type_name(&self, at: usize) -> &'static str {
        self.string(u32_at(self.index, at * 8))
    }

    /// The place of a type in the index.
    pub(crate) fn find_type(&self, name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.n_types());
        while low < high {
            let middle = low.midpoint(high);
            match self.type_name(middle).cmp(name) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    pub(crate) fn type_body(&self, at: usize) -> Reader {
        self.reader(u32_at(self.index, at * 8 + 4))
    }

    pub(crate) fn groups(&self) -> Reader {
        self.reader(self.groups_at)
    }

    pub(crate) fn features(&self) -> Reader {
        self.reader(self.features_at)
    }

    pub(crate) fn columns(&self) -> Reader {
        self.reader(self.columns_at)
    }

    fn reader(&self, at: usize) -> Reader {
        Reader { blob: *self, at }
    }
}

/// Reads the body from a place on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    blob: Blob,
    at: usize,
}

/// A type as the blob has it, in prefix notation.
pub(crate) enum Shape {
    List,
    Map { key: &'static str },
    Named { name: &'static str },
    Struct { name: &'static str },
    Scalar { word: &'static str },
}

impl Reader {
    pub(crate) fn byte(&mut self) -> u8 {
        let byte = self.blob.body[self.at];
        self.at += 1;
        byte
    }

    pub(crate) fn number(&mut self) -> usize {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    pub(crate) fn string(&mut self) -> &'static str {
        let id = self.number();
        self.blob.string(id)
    }

    pub(crate) fn strings(&mut self) -> Vec<String> {
        (0..self.number()).map(|_| self.string().to_owned()).collect()
    }

    /// Passes over a type.
    pub(crate) fn skip_type(&mut self) {
        match self.shape() {
            Shape::List | Shape::Map { .. } | Shape::Named { .. } => self.skip_type(),
            Shape::Struct { .. } | Shape::Scalar { .. } => {}
        }
    }

    pub(crate) fn shape(&mut self) -> Shape {
        match self.byte() {
            1 => Shape::List,
            2 => Shape::Map { key: self.string() },
            3 => Shape::Named { name: self.string() },
            4 => Shape::Struct { name: self.string() },
            5 => Shape::Scalar { word: self.string() },
            tag => unreachable!("build.rs writes no tag {tag}"),
        }
    }
}
