//! The types of messages, RTMP 1.0 sections 5.4, 6.2 and 7.1. Three are those of
//! FLV tags.

pub(super) use super::tag::DATA;

pub(super) const SET_CHUNK_SIZE: u8 = 1;
pub(super) const ABORT: u8 = 2;
pub(super) const ACKNOWLEDGEMENT: u8 = 3;
pub(super) const USER_CONTROL: u8 = 4;
pub(super) const WINDOW: u8 = 5;
pub(super) const BANDWIDTH: u8 = 6;
pub(super) const AUDIO: u8 = 8;
pub(super) const VIDEO: u8 = 9;
pub(super) const DATA_AMF3: u8 = 15;
pub(super) const COMMAND_AMF3: u8 = 17;
pub(super) const COMMAND: u8 = 20;
pub(super) const AGGREGATE: u8 = 22;
