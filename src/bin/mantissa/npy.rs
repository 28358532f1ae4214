//! .npy files: numpy's format for one array, through the `npyz` crate.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytemuck::Pod;
use npyz::{AutoSerialize, Deserialize, NpyFile, Order, WriterBuilder};

/// An array with its last axis contiguous.
#[derive(Debug)]
pub struct Array<T> {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<T>,
}

/// The element types that the commands take.
pub enum AnyArray {
    /// `float32`
    F32(Array<f32>),
    /// `uint8`
    U8(Array<u8>),
}

impl<T> Array<T> {
    /// Rows and columns, seeing all axes but the last as rows.
    pub fn rows_and_columns(&self) -> Result<(usize, usize)> {
        match self.shape.split_last() {
            Some((&columns, _)) if columns > 0 && !self.data.is_empty() => {
                Ok((self.data.len() / columns, columns))
            }
            Some(_) => bail!("shape {:?} holds no element", self.shape),
            None => bail!("a single number has no axis"),
        }
    }

    /// Rows and columns of an array with just these two axes.
    pub fn matrix(&self) -> Result<(usize, usize)> {
        match self.shape[..] {
            [_, _] => self.rows_and_columns(),
            _ => bail!("shape {:?} is not [rows, columns]", self.shape),
        }
    }
}

/// Reads a `float32` array.
pub fn read_f32(path: &Path) -> Result<Array<f32>> {
    match read(path)? {
        AnyArray::F32(array) => Ok(array),
        AnyArray::U8(_) => bail!("{}: holds uint8, float32 is needed", path.display()),
    }
}

/// Reads a `uint8` array.
pub fn read_u8(path: &Path) -> Result<Array<u8>> {
    match read(path)? {
        AnyArray::U8(array) => Ok(array),
        AnyArray::F32(_) => bail!("{}: holds float32, uint8 is needed", path.display()),
    }
}

/// Reads an array of either type.
pub fn read(path: &Path) -> Result<AnyArray> {
    read_any(path).with_context(|| path.display().to_string())
}

fn read_any(path: &Path) -> Result<AnyArray> {
    let bytes = fs::read(path)?;
    check_shape(&bytes)?;
    let file = NpyFile::new(&bytes[..])?;
    match file.dtype().descr().trim_matches('\'') {
        "<f4" => Ok(AnyArray::F32(elements(file)?)),
        "|u1" => Ok(AnyArray::U8(elements(file)?)),
        other => bail!("holds {other}; float32 (<f4) or uint8 (|u1) is needed"),
    }
}

fn elements<T: Deserialize>(file: NpyFile<&[u8]>) -> Result<Array<T>> {
    if file.order() == Order::Fortran && file.shape().len() > 1 {
        bail!("is in Fortran order; save it with numpy.ascontiguousarray");
    }
    let shape: Vec<usize> =
        file.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<_, _>>()?;
    let data: Vec<T> = file.into_vec().with_context(|| {
        format!("holds fewer elements than its shape {shape:?}; is it cut off?")
    })?;
    let product = shape.iter().try_fold(1, |product: usize, &n| product.checked_mul(n));
    if product != Some(data.len()) {
        bail!("shape {shape:?} and {} elements disagree", data.len());
    }
    Ok(Array { shape, data })
}

/// The crate multiplies the lengths of the axes unchecked: refuse a header whose product does not
/// fit, before it is believed. The key must be there once and as it is, so that the shape seen here
/// is the one that the crate sees.
fn check_shape(bytes: &[u8]) -> Result<()> {
    let Some(header) = header(bytes) else { bail!("is not a .npy file") };
    if header.matches("shape").count() > 1 || header.contains('\\') {
        bail!("is a .npy file with a header that numpy.save does not write");
    }
    let tuple = header
        .split_once("'shape'")
        .and_then(|(_, rest)| rest.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'));
    let Some((tuple, _)) = tuple else { bail!("is not a .npy file") };
    let mut product: u64 = 1;
    for word in tuple.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let length: u64 = word.trim_end_matches('L').parse().with_context(|| {
            format!("its header has shape ({tuple}), where {word} is no axis's length")
        })?;
        product = product.checked_mul(length.max(1)).context("shape is too large")?;
    }
    Ok(())
}

/// The text between the magic number and the elements (numpy/lib/format.py); cut short where the
/// file is.
fn header(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (length, text) = match rest {
        [1, _, a, b, text @ ..] => (u16::from_le_bytes([*a, *b]).into(), text),
        [_, _, a, b, c, d, text @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), text),
        _ => return None,
    };
    let length = usize::try_from(length).ok()?;
    Some(String::from_utf8_lossy(&text[..length.min(text.len())]))
}

/// Writes an array whole.
pub fn write<T: AutoSerialize + Pod>(path: &Path, shape: &[usize], data: &[T]) -> Result<()> {
    let mut writer = Writer::create(path, shape)?;
    writer.extend(data)?;
    writer.finish()
}

/// Writes an array piece by piece into a file beside `path`, which takes its place at the end: a
/// file that is there is complete. A device or a pipe is written to as it stands.
pub struct Writer<T> {
    file: BufWriter<File>,
    unfinished: Unfinished,
    path: PathBuf,
    /// Elements that are yet to come.
    left: usize,
    of: PhantomData<T>,
}

impl<T: AutoSerialize + Pod> Writer<T> {
    /// Begins an array of this shape.
    pub fn create(path: &Path, shape: &[usize]) -> Result<Self> {
        let named = || path.display().to_string();
        // A link stays one: what it points to is written.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (file, part) = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => bail!("{}: this is a folder", named()),
            Ok(found) if !found.is_file() => {
                (File::options().write(true).open(&path).with_context(named)?, None)
            }
            _ => {
                let part = part_of(&path).with_context(named)?;
                (File::create(&part).with_context(named)?, Some(part))
            }
        };
        let (file, unfinished) = (BufWriter::new(file), Unfinished(part));
        let left = shape.iter().try_fold(1, |product: usize, &n| product.checked_mul(n));
        let left = left.with_context(|| format!("{shape:?} is too large"))?;
        let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        // The header says the machine's own byte order, so elements are written as they lie.
        let header = npyz::WriteOptions::<T>::new().default_dtype().shape(&shape).writer(file);
        let file = header.write_header_only().with_context(named)?;
        Ok(Self { file, unfinished, path, left, of: PhantomData })
    }

    /// Appends elements.
    pub fn extend(&mut self, data: &[T]) -> Result<()> {
        self.left =
            self.left.checked_sub(data.len()).context("more elements than the shape has")?;
        self.file.write_all(bytemuck::cast_slice(data)).with_context(|| self.named())
    }

    /// Ends the array: as many elements as its shape says must have been written.
    pub fn finish(mut self) -> Result<()> {
        if self.left > 0 {
            bail!("{}: {} elements are missing", self.named(), self.left);
        }
        self.file.flush().with_context(|| self.named())?;
        match self.unfinished.0.take() {
            Some(part) => fs::rename(&part, &self.path).with_context(|| self.named()),
            None => Ok(()),
        }
    }

    fn named(&self) -> String {
        self.path.display().to_string()
    }
}

/// The name of a file beside `path`, for as long as it is incomplete.
fn part_of(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    Some(path.with_file_name(name))
}

/// A file that goes away unless it is taken.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(part) = &self.0 {
            let _ = fs::remove_file(part);
        }
    }
}
