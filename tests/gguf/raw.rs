//! Files byte by byte, so that they can be wrong. None of the library's code is used here.

/// A string: u64 length and bytes.
pub(crate) fn string(s: &[u8]) -> Vec<u8> {
    [&(s.len() as u64).to_le_bytes()[..], s].concat()
}

/// A metadata value: key, type number, and whatever payload is given.
pub(crate) fn value(key: &str, type_id: u32, payload: &[u8]) -> Vec<u8> {
    [&string(key.as_bytes())[..], &type_id.to_le_bytes(), payload].concat()
}

/// An array's payload: element type, length, elements.
pub(crate) fn array(element: u32, len: u64, elements: &[u8]) -> Vec<u8> {
    [&element.to_le_bytes()[..], &len.to_le_bytes(), elements].concat()
}

/// A tensor's description.
pub(crate) fn tensor(name: &str, shape: &[u64], type_id: u32, offset: u64) -> Vec<u8> {
    let mut out = string(name.as_bytes());
    out.extend((shape.len() as u32).to_le_bytes());
    shape.iter().for_each(|n| out.extend(n.to_le_bytes()));
    out.extend(type_id.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out
}

/// A file, right as long as its parts are.
pub(crate) struct File {
    pub(crate) magic: [u8; 4],
    pub(crate) version: [u8; 4],
    pub(crate) tensor_count: Option<u64>,
    pub(crate) value_count: Option<u64>,
    pub(crate) values: Vec<Vec<u8>>,
    pub(crate) tensors: Vec<Vec<u8>>,
    pub(crate) alignment: usize,
    /// Bytes of the data section.
    pub(crate) data: usize,
}

impl Default for File {
    fn default() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3u32.to_le_bytes(),
            tensor_count: None,
            value_count: None,
            values: Vec::new(),
            tensors: Vec::new(),
            alignment: 32,
            data: 0,
        }
    }
}

impl File {
    pub(crate) fn with_values(values: &[Vec<u8>]) -> Vec<u8> {
        Self { values: values.into(), ..Self::default() }.build()
    }

    pub(crate) fn with_tensors(tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
        Self { tensors: tensors.into(), data, ..Self::default() }.build()
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version);
        out.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.value_count.unwrap_or(self.values.len() as u64).to_le_bytes());
        out.extend(self.values.concat());
        out.extend(self.tensors.concat());
        out.resize(out.len().next_multiple_of(self.alignment) + self.data, 0);
        out
    }
}
