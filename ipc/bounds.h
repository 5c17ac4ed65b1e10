// Every bound of the wire, in one place. What a peer can make this process hold, hold up or compute follows from these
// numbers alone; those that the configuration may change are the defaults here.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tidemark::ipc::bounds {

inline constexpr std::size_t kibibyte = 1024;
inline constexpr std::size_t mebibyte = 1024 * kibibyte;

// Bytes of a name: a session, agent, group, turn, provider, external id.
inline constexpr std::size_t name_bytes_max = 256;
// Bytes of a text that is kept for people to read: a reason, an error.
inline constexpr std::size_t text_bytes_max = 4096;
// Bytes of an attempt's id, which the daemon chooses.
inline constexpr std::size_t commit_bytes_max = 64;
// Bytes of a call's id, as JSON text.
inline constexpr std::size_t call_id_bytes_max = 256;

// Bytes of one frame that the daemon reads, its line end not counted. The default of `max_frame_bytes`.
inline constexpr std::size_t frame_bytes_max = mebibyte;
// The least that `max_frame_bytes` may be set to.
inline constexpr std::size_t frame_bytes_least = 16 * kibibyte;
// Arrays and objects in each other, the outermost counted.
inline constexpr std::size_t json_depth_max = 32;
inline constexpr std::size_t batch_members_max = 1024;

// Calls of one connection that were read and are not answered, those that wait for a provider not counted. At the bound
// the connection is read no further until some are answered. The members of one last batch can exceed it.
inline constexpr std::size_t calls_outstanding_max = 1024;
// Requests to one peer that it has not answered.
inline constexpr std::size_t requests_outstanding_max = 4096;

// Bytes taken from a socket at once.
inline constexpr std::size_t read_bytes = 64 * kibibyte;
// Unwritten bytes at which a peer is given more of what waits elsewhere, such as events.
inline constexpr std::size_t output_bytes_low = 64 * kibibyte;
// Unwritten bytes above which a connection is read no further until the peer has taken them...
inline constexpr std::size_t output_bytes_pause = mebibyte;
// ...and above which the peer is cut off. One answer can be long (a session with very many segments), so it is wide.
inline constexpr std::size_t output_bytes_max = 64 * mebibyte;
// A peer that takes nothing for so long while output is pending is cut off.
inline constexpr std::chrono::milliseconds write_stall_max{30'000};
// How long a connection that is being ended may still take to hand over its answers.
inline constexpr std::chrono::milliseconds linger_max{2'000};
// Bytes of a connection that is being ended that are read and thrown away, so that its peer gets to see the answer.
inline constexpr std::size_t discard_bytes_max = 64 * mebibyte;
// A buffer of a connection that is empty and larger than this gives its memory back.
inline constexpr std::size_t idle_buffer_bytes = 4096;

// Entries of one page of a list, and how many where the caller doesn't say.
inline constexpr std::int64_t page_entries_max = 1000;
inline constexpr std::int64_t page_entries = 100;
// Elements of a list that is a parameter: the sessions, or types, of one subscription.
inline constexpr std::size_t list_elements_max = 1024;
// Requests that an agent may have taken on and not answered, and how many where it doesn't say.
inline constexpr std::int64_t in_flight_max = 1024;
inline constexpr std::int64_t in_flight = 4;

// Durations that a peer may name: ten years, so that none overflows a clock's own unit.
inline constexpr std::chrono::milliseconds duration_max = std::chrono::hours(24) * 3653;

// How long the listener rests when the process or the machine is out of descriptors or memory.
inline constexpr std::chrono::milliseconds accept_pause{100};
// Connections accepted before other work gets its turn.
inline constexpr int accept_burst = 64;

static_assert(name_bytes_max < frame_bytes_least && text_bytes_max < frame_bytes_least);
static_assert(frame_bytes_least <= frame_bytes_max);
static_assert(call_id_bytes_max < frame_bytes_least);
static_assert(frame_bytes_max <= output_bytes_max, "a client reads frames of up to output_bytes_max");
static_assert(output_bytes_low < output_bytes_pause && output_bytes_pause < output_bytes_max);
static_assert(idle_buffer_bytes < read_bytes);
static_assert(page_entries <= page_entries_max && in_flight <= in_flight_max);
static_assert(linger_max < write_stall_max);
static_assert(duration_max < std::chrono::milliseconds(INT64_MAX / 1'000'000 / 2), "half of what nanoseconds can hold");

}  // namespace tidemark::ipc::bounds
