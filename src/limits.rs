//! Every bound of the process, with its unit and its reason. Code elsewhere
//! names a bound from here; it never writes a number of its own.

use std::time::Duration;

// --- ring ---------------------------------------------------------------

/// Bytes of a ring's segment. Large enough that hand-over costs nothing per
/// frame, small enough that a thousand idle streams fit in 256 MiB. Models of
/// threads make do with few, each of which is watched.
pub const SEGMENT_BYTES: usize = if cfg!(all(loom, test)) { 4 } else { 256 * 1024 };
/// Frames that one segment indexes; a stream of tinier frames than 128 bytes
/// fills the index first and takes its next segment early.
pub const SEGMENT_FRAMES: usize = if cfg!(all(loom, test)) { 2 } else { 2048 };
/// Bytes of a page of memory on most machines; larger ones are touched twice.
pub const PAGE_BYTES: usize = 4096;
/// Bytes ahead of a stream's end that are touched between turns: what the next
/// receives bring, and little beside what a segment holds.
pub const WARM_BYTES: usize = 16 * 1024;
/// Default of `window_bytes`, bytes of a stream kept at most.
pub const WINDOW_BYTES: u64 = 64 * 1024 * 1024;
/// Streams that must have ended for the heap to be tidied: that takes some
/// milliseconds, in which whoever allocates may wait.
pub const TIDY_STREAMS: usize = 1000;
/// Free segments that a shard's pool keeps for reuse (16 MiB).
pub const POOL_SEGMENTS: usize = 64;
/// Free segments beyond so many go back to the kernel, when nobody has needed
/// them ...
pub const POOL_SPARE: usize = 4;
/// ... for this long ...
pub const POOL_REST: Duration = Duration::from_millis(500);
/// ... and this many at a time, for a segment takes 20 us to give back.
pub const POOL_RELEASE: usize = 4;
/// Segments that subscribers on their way out of a skipped part may hold, per
/// stream, beyond the window (8 MiB).
pub const LEAVING_SEGMENTS: usize = 32;
/// A subscriber on its way out of a skipped part has this long to take the rest
/// of its picture; one that drips on holds segments that others need.
pub const LEAVING_TIME: Duration = Duration::from_secs(60);
/// What a link between two shards holds: segments and join points of a stream.
/// A shard that stands still for so long is lapped: 5 s of an audio stream with
/// a join point every 20 ms, half a second of 1 Gbit/s. With what its window
/// holds, it bounds the memory that a shard that stands still can keep.
pub const LINK_ITEMS: usize = if cfg!(all(loom, test)) { 1 } else { 256 };
/// Streams of other shards that one shard follows: a doorbell has a bit for
/// each of them.
pub const LINKS: usize = if cfg!(all(loom, test)) { 64 } else { 62 * 64 };
/// Join points remembered per stream, the newest ones: 10 minutes of a
/// one-second GOP, 12 s of an audio stream with a PES start every 20 ms.
pub const JOIN_POINTS: usize = 600;

// --- framing ------------------------------------------------------------

/// Bytes of an MPEG-TS packet, ISO/IEC 13818-1 2.4.3.2.
pub const TS_PACKET: usize = 188;
/// Packets that must begin with the sync byte, one after the other, before a
/// byte stream is believed to be an MPEG-TS.
pub const TS_SYNC_PACKETS: usize = 3;
/// PIDs of one programme whose continuity is carried over a join or a skip. A
/// programme has a handful; what exceeds this is passed on all the same, and a
/// subscriber that skips may count errors on it.
pub const TS_PIDS: usize = 64;
/// Bytes of a PAT or PMT section, ISO/IEC 13818-1 2.4.4.3 and 2.4.4.8.
pub const TS_SECTION_BYTES: usize = 1024;
/// TS packets that one PAT or PMT section may span: the largest section takes
/// 6, a pointer field before it one more, stuffing in between the last.
pub const TS_TABLE_PACKETS: usize = 8;
/// After this long without a random-access point, any video PES start will do.
pub const TS_NO_KEY: Duration = Duration::from_secs(10);
/// Bytes of one `lines` or `len32` frame; a larger one ends the publisher.
pub const FRAME_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one FLV tag with its header and the size behind it; a longer one ends
/// the publisher. So its data is one chunk wherever it is pushed, where the 16 MiB
/// that its header has room for would break the push; [`MEDIA_UNIT_BYTES`], twice
/// the largest pictures that encoders make, fit.
pub const FLV_TAG_BYTES: usize = RTMP_PUSH_CHUNK_BYTES;
/// Bytes of an FLV's file header: 9 in version 1, which says how long it is so
/// that a later one may be longer.
pub const FLV_HEADER_BYTES: usize = 64 * 1024;
/// Bytes of the FLV tags that are kept for subscribers who join, all together:
/// sequence headers have some hundred, and metadata too, unless it lists a file's
/// key pictures, which means nothing in a live stream.
pub const FLV_KEPT_BYTES: usize = 64 * 1024;
/// Such tags of one stream: metadata, video and audio, and some for each of the
/// further tracks that enhanced RTMP allows.
pub const FLV_KEPT_TAGS: usize = 16;
/// What is copied for join points may be ahead of what came by so many bytes, and
/// by one copy; then key pictures are passed on without being join points. Ten
/// and more of real headers, and a publisher of headers and tiny key pictures
/// costs at most as much memory again as its window.
pub const FLV_OWED_BYTES: usize = 64 * 1024;
/// A stream of sound alone can be joined this often: a joiner waits no longer,
/// and what [`JOIN_POINTS`] hold reaches back ten minutes.
pub const FLV_SOUND_JOINS: Duration = Duration::from_secs(1);
/// Time between two PAT and PMT of an MPEG-TS that we make, at most: who tunes in
/// waits for them (DVB asks for 500 ms, players that are given a file for less).
pub const TS_TABLES: Duration = Duration::from_millis(250);
/// Time between two PCR, at most: ISO/IEC 13818-1 2.7.2.
pub const TS_CLOCK: Duration = Duration::from_millis(100);
/// How far a decoder's clock is behind what it is sent: sound may come so much
/// later than the picture it belongs to. Some players wait as long.
pub const TS_CLOCK_LEAD: Duration = Duration::from_millis(100);
/// A source's clock that goes on by more than this at once, or back, is another
/// clock.
pub const TS_CLOCK_JUMP: Duration = Duration::from_secs(1);
/// Bytes of the parameter sets that go before each key picture of an MPEG-TS that
/// we make: real ones have some hundreds, with scaling lists 2,000. A header with
/// more is not carried over.
pub const TS_SETS_BYTES: usize = 8 * 1024;
/// Sets that were put in may be ahead of what came by so many bytes; then key
/// pictures go without, and nobody is told to begin there.
pub const TS_OWED_BYTES: usize = 64 * 1024;
/// Memory for one tag or picture that is kept for the next: more than any but the
/// largest key pictures need.
pub const REMUX_SPARE: usize = 1024 * 1024;
/// `auto` decides after this long, with whatever bytes it has.
pub const AUTO_HOLD: Duration = Duration::from_millis(20);
/// Payload bytes of a datagram: 7 TS packets, what the field uses and what
/// fits in an Ethernet frame.
pub const DATAGRAM_BYTES: usize = 7 * TS_PACKET;
/// Largest payload of a UDP datagram over IPv4.
pub const DATAGRAM_MAX: usize = 65_507;

// --- media --------------------------------------------------------------

/// Bytes of one PES, a picture or some audio, that are put together: twice the
/// largest pictures of 4K at 100 Mbit/s and more; larger ones are left out.
pub const MEDIA_UNIT_BYTES: usize = 8 * 1024 * 1024;
/// Parameter sets of one kind; encoders use one, some a few.
pub const MEDIA_SETS: usize = 16;
/// Bytes of the parameter sets of one kind, all together: scaling lists and HRD
/// included, one has some hundreds. They are all told again when one changes, and
/// that takes a packet: 12 KiB of all kinds for 188 bytes are the most.
pub const MEDIA_SET_BYTES: usize = 4096;
/// Audio waits for the first picture of its programme for this long ...
pub const MEDIA_HELD_TIME: Duration = Duration::from_secs(3);
/// ... and in so many bytes, those of 700 kbit/s, before it goes alone.
pub const MEDIA_HELD_BYTES: usize = 256 * 1024;
/// Units one after the other that must have ended in a stuffed packet, before
/// stuffing is taken for the end of a unit: a third of a second of video.
pub const MEDIA_STUFFED_UNITS: u32 = 8;
/// A time stamp so far behind the one before it is of another clock; less is an
/// encoder's disorder.
pub const MEDIA_JITTER: Duration = Duration::from_millis(500);
/// And one so far ahead: longer than any pause between two pictures.
pub const MEDIA_JUMP: Duration = Duration::from_secs(5);
/// From the last time stamp of one clock to the first of another, of which
/// nothing is known: a picture's time.
pub const MEDIA_SEAM: Duration = Duration::from_millis(40);

// --- protocol -----------------------------------------------------------

/// Bytes of a stream's name.
pub const NAME_BYTES: usize = 255;
/// Bytes of an HTTP request head.
pub const HTTP_HEAD_BYTES: usize = 8 * 1024;
/// Header lines of an HTTP request.
pub const HTTP_HEADERS: usize = 64;
/// Responses 1xx that a client reads before the final one: servers send one or
/// two, and one that never ends with them would hold it for ever.
pub const HTTP_INTERIM: usize = 16;
/// A request head must be complete within this.
pub const HTTP_HEAD_TIME: Duration = Duration::from_secs(5);
/// An HTTP connection with no request is closed after this.
pub const HTTP_IDLE_TIME: Duration = Duration::from_secs(30);
/// Bytes of one chunk-size line, extensions included.
pub const HTTP_CHUNK_LINE: usize = 256;
/// Largest `wait=` of a subscriber for a stream that is not there yet.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Each step of an RTMP client must be complete within this: the handshake,
/// `connect`, and then `publish` or `play`. Some three messages cross in each.
pub const RTMP_STEP_TIME: Duration = Duration::from_secs(5);
/// Bytes of an RTMP command; clients send up to 1 KiB, and a name with its query
/// fits many times.
pub const RTMP_COMMAND_BYTES: usize = 16 * 1024;
/// Bytes of an RTMP protocol or user control message; the largest known, the
/// answer of SWF verification, has 44.
pub const RTMP_CONTROL_BYTES: usize = 64;
/// Chunk streams that one RTMP peer may use; programs use five or so.
pub const RTMP_CHUNK_STREAMS: usize = 64;
/// Bytes of RTMP messages that are held until they are whole, all together, from
/// a peer that publishes: key frames of interleaved messages, aggregates.
pub const RTMP_HELD_BYTES: usize = 4 * 1024 * 1024;
/// The same before it publishes, and of one that plays: a few commands.
pub const RTMP_HELD_IDLE: usize = 2 * RTMP_COMMAND_BYTES;
/// Bytes of an RTMP message: its length is 24 bits wide, as that of an FLV tag.
pub const RTMP_MESSAGE_BYTES: usize = 0xff_ffff;
/// The chunk size of what an RTMP server sends, in bytes: no message is longer,
/// so each is one chunk, whose payload lies in the ring as it is. The
/// specification calls larger sizes equivalent to this (5.4.1). ffmpeg (and VLC
/// and mpv with it) takes any positive `int`, GStreamer up to 2^31 - 1, librtmp
/// looks at nothing; ffmpeg sends in chunks of the size that it was told.
pub const RTMP_CHUNK_BYTES: usize = RTMP_MESSAGE_BYTES;
/// The chunk size of what is pushed to an RTMP server, in bytes: nginx-rtmp takes
/// no larger one. No tag is longer: [`FLV_TAG_BYTES`].
pub const RTMP_PUSH_CHUNK_BYTES: usize = 10 * 1024 * 1024;
/// Bytes after which an RTMP peer acknowledges what it got, if it is not told;
/// what the field's servers say.
pub const RTMP_WINDOW: u32 = 2_500_000;
/// The smallest such window that is kept to: an acknowledgement has 16 bytes.
pub const RTMP_WINDOW_MIN: u32 = 1024;
/// Bytes of the list of codecs that an RTMP client names, to be told back.
pub const RTMP_FOURCC_BYTES: usize = 256;
/// AMF values inside each other; no command needs more than three.
pub const AMF_DEPTH: usize = 16;
/// Payload bytes of a WebSocket frame that a subscriber may send us: control
/// frames (RFC 6455 5.5) and small remarks that we ignore.
pub const WEBSOCKET_IN_BYTES: usize = 4096;
/// Bytes of the UDP join token.
pub const TOKEN_BYTES: usize = 16;
/// A UDP join token lets its address in for this long, and for as long again
/// at most: enough for a slow answer, too little to collect tokens for later.
pub const TOKEN_TIME: Duration = Duration::from_secs(30);
/// Shortest UDP join request: no reply is larger than its request.
pub const JOIN_REQUEST_BYTES: usize = 16;
/// Octets of a STAMP packet without extensions, RFC 8762 section 4.2.
pub const STAMP_BYTES: usize = 44;
/// Octets that the fields of a STAMP reply take, zeros after them left out: the
/// whole reply of TWAMP, RFC 5357 section 4.2.1. No reply is larger than its
/// request, so a shorter request has none.
pub const STAMP_FIELDS: usize = 41;
/// A packet that says that it answers one of at most so long ago is a STAMP
/// reply: no reflector holds one longer.
pub const STAMP_HELD: Duration = Duration::from_secs(10);
/// How far a reflector's times may be from its clock: what lies between reading
/// it and the call, on a busy machine.
pub const STAMP_ERROR: Duration = Duration::from_micros(10);
/// STAMP sessions whose replies one reflector counts: some 400 KiB.
pub const STAMP_SESSIONS: usize = 4096;
/// A STAMP session that is silent for this long is over: the default of REFWAIT,
/// RFC 5357 section 4.2.
pub const STAMP_SILENCE: Duration = Duration::from_secs(900);
/// A UDP subscriber that says nothing for this long is gone.
pub const UDP_SILENCE: Duration = Duration::from_secs(10);
/// Datagrams of one stretch of a stream: what the kernel cuts apart in one
/// piece (64, `UDP_MAX_SEGMENTS` before 6.x) and an IP packet holds, 49 of
/// [`DATAGRAM_BYTES`]; and no longer a burst to one receiver than its buffer
/// takes (212,992 bytes by default, twice what this is charged there).
pub const UDP_PIECES: usize = 44;
/// Largest datagrams that the kernel is asked to cut: what an Ethernet packet
/// of 1500 bytes holds behind IPv6 and UDP headers. It refuses to cut what the
/// path would break up again.
pub const GSO_STRIDE: usize = 1452;
/// Datagrams handed over in one call to all receivers together: some 100 us
/// where the kernel cuts them, so that the phase's time can be kept.
pub const UDP_CALL: usize = 128;
/// Sending datagrams yields after this long, half of the fan-out's time.
pub const UDP_TIME: Duration = Duration::from_micros(125);
/// A UDP publisher that was refused its name asks again after this.
pub const CLAIM_PAUSE: Duration = Duration::from_secs(1);
/// UDP subscribers of one listener: some 2 MiB of addresses and cursors.
pub const UDP_SUBSCRIBERS: usize = 16_384;
/// Entries of UDP subscribers gone that a list may hold beside as many as it has
/// live ones, before it is tidied up.
pub const UDP_GONE: usize = 64;

// --- relay --------------------------------------------------------------

/// Default of `max_lag`.
pub const MAX_LAG: Duration = Duration::from_millis(500);
/// A stream whose publisher sent a whole request and closed may be continued by
/// a next one for this long: GStreamer sends each buffer as a PUT of its own.
pub const PUT_GAP: Duration = Duration::from_secs(1);
/// Largest `coalesce`: beyond it frames come in jerks that a viewer sees. It is
/// never more than half of `max_lag` either.
pub const COALESCE_MAX: Duration = Duration::from_millis(100);
/// Default of `timeout`: a publisher silent for this long is ended.
pub const PUBLISHER_SILENCE: Duration = Duration::from_secs(10);
/// Live streams of the process.
pub const STREAMS: usize = 4096;
/// Streams that subscribers wait for without any being published, on all shards
/// together, beside those that listeners name. One shard takes at most half as
/// many as it has [`LINKS`].
pub const WAITED_STREAMS: usize = 4096;

/// How long one address may take to accept a connection that we make: seven
/// times what a SYN that was lost costs (RFC 6298 section 2.1, one second).
pub const DIAL_CONNECT: Duration = Duration::from_secs(7);
/// Addresses of one name that are tried in turn: both IP versions of two hosts.
pub const DIAL_ADDRESSES: usize = 4;
/// Redirections followed one after the other.
pub const DIAL_REDIRECTS: usize = 5;
/// Pause before the second attempt to pull or push; each failure doubles it ...
pub const DIAL_PAUSE: Duration = Duration::from_millis(250);
/// ... up to this: a target that is back is found within 8 s, and one that is down
/// costs it nothing. A connection that lasted so long starts anew with the above.
pub const DIAL_PAUSE_MAX: Duration = Duration::from_secs(8);
/// Streams that are pulled or pushed over connections: a thread each.
pub const DIALS: usize = 256;

// --- turn ---------------------------------------------------------------

/// Events taken from one poll.
pub const EVENTS: usize = 256;
/// Sockets that a spinning shard asks directly: as many empty receives as one
/// answer of the poll costs, about.
pub const HOT_SOCKETS: usize = 4;
/// Turns that it does so before it asks the poll again: 10 us, about, by which
/// everybody else may wait.
pub const HOT_POLLS: usize = 32;
/// A socket that had nothing for this long is left to the poll: four pictures.
pub const HOT_TIME: Duration = Duration::from_millis(160);
/// Looks at the doorbell before a spinning shard asks the poll again, while it
/// follows streams of others: some 2 us, by which its own sockets may wait.
pub const BELL_LOOKS: usize = 64;
/// Bytes read from one publisher in a turn.
pub const INGEST_BYTES: usize = 256 * 1024;
/// Receive calls on one publisher in a turn.
pub const INGEST_CALLS: usize = 32;
/// Bytes received at a time: as many as are sent at a time.
pub const RECEIVE_BYTES: usize = 64 * 1024;
/// Receiving from connections yields after this long, all together; so many are
/// read between two looks at the clock, which also follow each full receive.
pub const INGEST_TIME: Duration = Duration::from_micros(200);
/// See there.
pub const INGEST_READS: usize = 8;
/// Frames that one receive should bring at most, about: 50 us of framing. Of a
/// stream of tinier ones, so many bytes are received at a time.
pub const INGEST_FRAMES: usize = 2048;
/// Free bytes a datagram needs in a segment's tail: the largest GRO batch.
pub const DATAGRAM_SPACE: usize = 64 * 1024;
/// Bytes sent to one subscriber at a time, so that nobody waits for a burst.
pub const FLUSH_BYTES: usize = 64 * 1024;
/// Slices of one gather list; IOV_MAX is 1024.
pub const FLUSH_SLICES: usize = 64;
/// Slices of a gather list of plain bytes: those of one flush lie in two
/// segments, and in more only where frames are so small that indexes fill up.
pub const PLAIN_SLICES: usize = 8;
/// Bytes of control data that one receive has room for: the GRO stride, the
/// drop count and a set of timestamps take half of it.
pub const CONTROL_BYTES: usize = 256;
/// Messages received in one call, each a datagram or a GRO batch: a good part of
/// what a program sends for a picture, and 448 KiB of memory that is touched
/// only as far as it is used.
pub const RECEIVE_BATCH: usize = 8;
/// Headers handed to the kernel in one call: enough that the call itself costs
/// nothing per datagram, few enough to be done in 150 us.
pub const DATAGRAM_BATCH: usize = 32;
/// Fan-out yields after this many sends ...
pub const FANOUT_SENDS: usize = 32;
/// ... or this long.
pub const FANOUT_TIME: Duration = Duration::from_micros(250);
/// How far the kernel's stamps are ahead of the clock is looked at this often.
pub const WALL_TIME: Duration = Duration::from_secs(1);
/// A stamp that is so many nanoseconds from now makes us look earlier, for the
/// clock may have been set ...
pub const WALL_DOUBT: u64 = 2_000_000;
/// ... but so much later at least: a shard with a backlog has only such stamps.
pub const WALL_PAUSE: Duration = Duration::from_millis(20);
/// The clock is read again every this many sends ...
pub const CLOCK_SENDS: usize = 8;
/// ... or bytes: one large send takes as long as eight small ones.
pub const CLOCK_BYTES: u64 = 64 * 1024;
/// Sending ends when the turn has lasted so long, but for what each phase sends
/// before it looks at the clock: the whole turn is to take half a millisecond.
pub const TURN_TIME: Duration = Duration::from_micros(300);
/// Catch-up bursts sent in a turn, at most a quarter of its sends.
pub const CATCHUP_SENDS: usize = 8;
/// Messages that wait for a shard: one of each connection and some of each
/// stream can be under way. A shard that reads none of so many stands still.
pub const MAIL: usize = 128 * 1024;
/// Control messages handled in a turn.
pub const CONTROL_MESSAGES: usize = 64;
/// Connections accepted per listener in a turn.
pub const ACCEPTS: usize = 8;
/// Timers fired in a turn.
pub const TIMERS: usize = 256;
/// Turns that a shard remembers: 256 KiB, a cache line each; a second or more of
/// what a busy shard did.
pub const RECORDED_TURNS: usize = 4096;
/// How long a tick of the cycle counter is, is learned over so long at least: who
/// is put off between two looks at it and the clock is wrong by a few in a hundred.
pub const TICK_TIME: Duration = Duration::from_millis(100);
/// A look at hot sockets that found nothing is remembered too if it was so long,
/// for somebody else had the core. A spinning shard looks a million times a
/// second; the others would be all it remembers.
pub const LONG_LOOK: Duration = Duration::from_micros(20);
/// Connections freed in a turn.
pub const REAPS: usize = 256;
/// After a failed accept for want of descriptors or memory, try again after
/// this; the listener's backlog keeps the clients meanwhile.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Subscribers that are behind are looked at this often.
pub const LAG_TICK: Duration = Duration::from_millis(10);

/// Bytes read from an HTTP client or a greeting at a time.
pub const SCRATCH_BYTES: usize = 64 * 1024;
/// Bytes of a raw TCP greeting that are looked at before it is believed.
pub const GREETING_BYTES: usize = 16;
/// Subscribers that a shard tells of when it is asked who gets a stream: the kernel
/// is asked twice for each, and 2 us of a turn go by, so that is a quarter of a
/// millisecond, as long as any phase has.
pub const SUBSCRIBERS_TOLD: usize = 128;
/// A rate is told of a span that is at least so long: two pictures and more.
pub const RATE_TIME: Duration = Duration::from_millis(100);
/// Pages that wait to be made; more are refused.
pub const PAGE_ORDERS: usize = 1024;
/// A shard has this long to say what it does; then a page is made without it.
pub const PAGE_TIME: Duration = Duration::from_secs(1);
/// Bytes of a response after which a connection may take another request; what
/// a socket buffer takes at once.
pub const KEPT_PAGE_BYTES: usize = 16 * 1024;
/// Open pages that are told what is new: at 4 KiB twice a second, 2 MB/s.
pub const VIEWERS: usize = 256;
/// Open pages that are told news in one turn: as many sends as a catch-up may make.
pub const NEWS_SENDS: usize = CATCHUP_SENDS;
/// They are told this often.
pub const NEWS_TIME: Duration = Duration::from_millis(500);
/// Bytes of the list of streams in what they are told; there are more than these
/// if it says so. With a stream's own, half of `QUEUED_BYTES`.
pub const NEWS_BYTES: usize = 24 * 1024;
/// Their medians are of the last so many news, ten seconds ...
pub const NEWS_SHORT: usize = 20;
/// ... and their outer quantiles of the last so many, a minute: of less, 25
/// pictures a second to one subscriber are too few samples.
pub const NEWS_LONG: usize = 120;
/// Rates are over the last so many, two seconds.
pub const NEWS_RATE: usize = 4;
/// Of that time, so much is remembered at a time: 12 histograms a stream.
pub const NEWS_STEP: usize = 10;
/// Control frames queued for a WebSocket; a peer that pings without reading is
/// ended.
pub const QUEUED_BYTES: usize = 64 * 1024;
/// A closed connection may go on sending for this long before it is reset, so
/// that what it was told last reaches it; if that is long, so long after each
/// part of it that its kernel took ...
pub const CLOSING_TIME: Duration = Duration::from_secs(1);
/// ... but not longer than this in all.
pub const CLOSING_MAX: Duration = Duration::from_secs(30);

// --- client -------------------------------------------------------------

/// Sequence numbers of probes that a subscriber remembers, to tell a late one
/// from a copy: 40 s of video, 40 ms of 100,000 probes a second.
pub const PROBE_WINDOW: usize = 4096;
/// A blocking client looks this often whether it is to stop.
pub const CLIENT_STOP: Duration = Duration::from_millis(100);
/// A peer that takes no byte, answers nothing or cannot be reached for this
/// long has failed, unless the caller says otherwise.
pub const CLIENT_STALL: Duration = Duration::from_secs(10);
/// Bytes of one receive of a client, and of one read of a file to publish.
pub const CLIENT_BYTES: usize = 64 * 1024;
/// Bytes to look ahead for the next PCR: 100 ms, the most that ISO/IEC 13818-1
/// 2.7.2 allows between two, of 160 Mbit/s.
pub const PCR_LOOKAHEAD: usize = 2 * 1024 * 1024;
/// Two PCRs further apart than this are no measure of time: ten times what is
/// allowed.
pub const PCR_GAP: Duration = Duration::from_secs(1);
/// Bytes of a WebSocket message that a client takes: `FRAME_BYTES`.
pub const WEBSOCKET_MESSAGE: u64 = FRAME_BYTES as u64;
/// A UDP subscriber asks again this often until it is answered ...
pub const UDP_ASK: Duration = Duration::from_millis(500);
/// ... and then shows this often that it is there: thrice in `UDP_SILENCE`.
pub const UDP_KEEPALIVE: Duration = Duration::from_secs(3);

// --- ping ---------------------------------------------------------------

/// Bytes at the front of every probe: session token and sequence number.
pub const PROBE_BYTES: usize = 16;
/// Data bytes of an ICMP or UDP probe over IPv4: 65,535 less two headers.
pub const PING_SIZE_MAX: usize = DATAGRAM_MAX;
/// Shortest time between two probes of one kind: below this, one thread that
/// sleeps between probes can't keep the schedule.
pub const PING_INTERVAL_MIN: Duration = Duration::from_micros(10);
/// The same towards addresses of the public internet: what ping(8) allows
/// everybody.
pub const PING_INTERVAL_PUBLIC: Duration = Duration::from_millis(2);
/// Hosts that are pinged at a time: what a table shows on a screen.
pub const PING_HOSTS: usize = 32;
/// Subscribers that `lightmeter load` makes: one thread reads for all of them.
pub const LOAD_SUBSCRIBERS: usize = 5_000;
/// Probes of one kind that are remembered, to know their replies and copies
/// of them: as many as ICMP's 16-bit sequence numbers can tell apart.
pub const PING_WINDOW: usize = 65_536;
/// Probes of one kind that are kept one by one (24 MiB); longer runs keep an
/// even choice of them, and count all.
pub const PING_RECORDS: usize = 1 << 18;
/// TCP connections of a ping that are being made at a time: more than a target
/// that answers ever leaves open; the descriptor limit is often 1,024.
pub const PING_CONNECTS: usize = 512;
/// A TCP connection of a ping that was made is ended with a reset, not a
/// goodbye, if there are more than this many a second: each goodbye keeps a
/// local port of some 28,000 for a minute.
pub const PING_GOODBYES: u32 = 200;
/// A hybrid wait sleeps until at most so long before its deadline, however
/// badly the machine oversleeps.
pub const WAIT_MARGIN: Duration = Duration::from_millis(2);
/// Bytes of one line that the system's `ping` prints; longer ones are cut.
pub const PING_LINE_BYTES: usize = 1024;
/// Bytes that a TCP echo port may leave unread before we give it up.
pub const PING_BACKLOG: usize = 1024 * 1024;
/// Receive buffer asked for where probes are packets; the kernel grants what
/// `net.core.rmem_max` allows. Some 10,000 small replies, and as many stamps: what
/// 100,000 probes a second bring in the 100 ms that a busy machine can be away.
pub const PING_RECEIVE_BYTES: usize = 4 * 1024 * 1024;
/// Events of a ping that wait to be fetched, 20 times a second; the wire waits
/// for nobody, so more are dropped, and only the printed lines miss them.
pub const PING_EVENTS: usize = 16_384;

// --- comparing ----------------------------------------------------------

/// Of so many comparisons that find a difference, all those of one run taken
/// together, one may be wrong: 1 in 20.
pub const COMPARE_ERROR: f64 = 0.05;
/// Rounds of one comparison; beyond them the machine has become another one.
/// A fair coin's odds of so many throws still fit a float.
pub const COMPARE_ROUNDS: u64 = 1000;
/// Settings that are compared with each other in one run; each has a server
/// of its own, all of them alive at once, and makes every other's interval
/// wider.
pub const COMPARE_ARMS: usize = 26;
/// Groups of settings in one run, such as sizes of probes.
pub const COMPARE_GROUPS: usize = 16;

// --- process ------------------------------------------------------------

/// Connections of one shard; the descriptor limit usually comes first.
pub const CONNECTIONS: usize = 65_536;
/// How long `idle=adaptive` spins if it isn't told: about what a sleep and a
/// wake-up cost, so that spinning never loses more than it can win.
pub const IDLE_SPIN: Duration = Duration::from_micros(50);
/// Longest spin that may be asked for; beyond it `idle=spin` says it better.
pub const IDLE_SPIN_MAX: Duration = Duration::from_secs(1);
/// Bytes of a configuration file; a thousand listeners take a tenth of it.
pub const CONFIG_BYTES: u64 = 1024 * 1024;
/// Bytes of a block of memory from which on it comes from the kernel and goes
/// back to it: less than a stream's framing (22 KiB) and a segment's index (48),
/// more than what is allocated often.
pub const LARGE_BLOCK: usize = 16 * 1024;
/// CPUs of the largest affinity mask asked for; kernels are built for at most
/// 8192.
pub const CPUS: usize = 65_536;
/// Log lines that wait for the log thread; more are dropped and counted.
pub const LOG_LINES: usize = 1024;
/// Log lines written at once, what a start or a busy second takes; whoever
/// knocks again and again must not fill a disk ...
pub const LOG_BURST: u32 = 500;
/// ... and then so many a second. Warnings and errors have as many of their own.
/// With `-v` all are written.
pub const LOG_RATE: u32 = 20;
/// That lines were left out is said when nothing was logged for so long.
pub const LOG_PAUSE: Duration = Duration::from_secs(2);
/// From one file of turns to the next.
pub const DUMP_PAUSE: Duration = Duration::from_secs(1);
/// At the end the log thread gets this long to write what is queued.
pub const LOG_FLUSH: Duration = Duration::from_millis(250);
/// Time that open connections get after SIGTERM.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);

const _: () = assert!(cfg!(loom) || SEGMENT_BYTES >= 2 * DATAGRAM_SPACE);
const _: () = assert!(SEGMENT_BYTES <= i32::MAX as usize);
const _: () = assert!(FLUSH_SLICES <= 1024);
