//! A column with serde: as the sequence of its numbers, bit for bit, padding included.

use bot4_simd::Column;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<S: Serializer>(column: &Column, to: S) -> Result<S::Ok, S::Error> {
    column[..].serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Column, D::Error> {
    let numbers = Vec::<f64>::deserialize(from)?;
    let mut column = Column::new(numbers.len(), 0.0);
    column[..numbers.len()].copy_from_slice(&numbers);
    Ok(column)
}
