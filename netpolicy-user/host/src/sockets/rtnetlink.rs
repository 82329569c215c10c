//! Messages of `rtnetlink(7)` as bytes: a kind, a fixed part, attributes.
//!
//! Five attributes of three kinds of messages are read here. The crate that knows all of them is
//! half a megabyte in a binary (decision 0074).

use std::convert::Infallible;

use netlink_packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable, NlasIterator,
};

/// Attributes are padded to this (`NLA_ALIGNTO`).
const ALIGN: usize = 4;

/// Bytes before an attribute's value.
const ATTRIBUTE_HEADER: usize = 4;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RouteMessage {
    /// An `RTM_*` of `linux/rtnetlink.h`.
    pub(super) kind: u16,
    /// The fixed part and the attributes.
    body: Vec<u8>,
}

impl RouteMessage {
    /// A request of this kind.
    pub(super) fn new(kind: u16, fixed: &[u8], attributes: &[(u16, &[u8])]) -> Self {
        let mut body = fixed.to_vec();
        for (name, value) in attributes {
            let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
            body.resize(body.len().next_multiple_of(ALIGN), 0);
            body.extend(length.to_ne_bytes());
            body.extend(name.to_ne_bytes());
            body.extend(*value);
        }
        Self { kind, body }
    }

    /// Its fixed part, if it is whole.
    pub(super) fn fixed<const LENGTH: usize>(&self) -> Option<&[u8; LENGTH]> {
        self.body.first_chunk()
    }

    /// Its attributes behind a fixed part of so many bytes: an attribute's number and its value.
    pub(super) fn attributes(&self, fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let behind = self.body.get(fixed..).unwrap_or_default();
        let attributes = NlasIterator::new(behind).map_while(Result::ok);
        attributes.map(|attribute| {
            let (name, length) = (attribute.kind(), usize::from(attribute.length()));
            let value = attribute.into_inner().get(ATTRIBUTE_HEADER..length);
            (name, value.unwrap_or_default())
        })
    }
}

/// A number of four bytes, in the machine's byte order.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

impl NetlinkSerializable for RouteMessage {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        for (to, from) in buffer.iter_mut().zip(&self.body) {
            *to = *from;
        }
    }
}

impl NetlinkDeserializable for RouteMessage {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self {
            kind: header.message_type,
            body: payload.to_vec(),
        })
    }
}

impl From<RouteMessage> for NetlinkPayload<RouteMessage> {
    fn from(message: RouteMessage) -> Self {
        Self::InnerMessage(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let message = RouteMessage::new(26, &[1; 12], &[(3, b"eth0\0"), (4, &[7, 0, 0, 0])]);
        assert_eq!(message.buffer_len(), 12 + 12 + 8);
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        assert_eq!(bytes[12..16], [9, 0, 3, 0]);
        assert_eq!(message.fixed(), Some(&[1; 12]));
        let read: Vec<_> = message.attributes(12).collect();
        assert_eq!(read, [(3, &b"eth0\0"[..]), (4, &[7, 0, 0, 0][..])]);
        #[cfg(target_endian = "little")]
        assert_eq!(number(read[1].1), Some(7));
    }

    #[test]
    fn attribute_that_is_cut_short_ends_the_message() {
        let whole = RouteMessage::new(24, &[], &[(4, &[1, 0, 0, 0]), (1, &[9; 8])]);
        for length in 0..whole.body.len() {
            let cut = RouteMessage {
                kind: 24,
                body: whole.body[..length].to_vec(),
            };
            let read = cut.attributes(0).count();
            assert_eq!(read, usize::from(length >= 8), "{length}");
            assert_eq!(cut.attributes(99).count(), 0);
        }
    }
}
