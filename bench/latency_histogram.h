// Latencies in buckets that are at most 1/64 of their value wide: a constant-time record, a fixed 30 KiB, and
// quantiles good to 1.6 %. The largest value is kept exactly.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tidemark::bench {

class LatencyHistogram {
 public:
  void record(std::uint64_t latency_ns) {
    ++buckets_[bucket_of(latency_ns)];
    ++count_;
    max_ns_ = std::max(max_ns_, latency_ns);
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t max_ns() const { return max_ns_; }

  /// The upper edge of the bucket in which the given share (0 to 1) of all records is reached; 0 without records.
  std::uint64_t quantile_ns(double share) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen > 0 && seen >= wanted) return std::min(upper_edge_ns(bucket), max_ns_);
    }
    return max_ns_;
  }

 private:
  // Values below 128 have a bucket each; above, a power of two is split in 64.
  static constexpr unsigned precision_bits = 6;
  static constexpr std::size_t bucket_count = (64 - precision_bits + 1) << precision_bits;

  static std::size_t bucket_of(std::uint64_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value | 1));
    const unsigned shift = width > precision_bits + 1 ? width - precision_bits - 1 : 0;
    return (static_cast<std::size_t>(shift) << precision_bits) + static_cast<std::size_t>(value >> shift);
  }

  static std::uint64_t upper_edge_ns(std::size_t bucket) {
    const std::size_t shift = bucket < (2U << precision_bits) ? 0 : (bucket >> precision_bits) - 1;
    const std::uint64_t mantissa = bucket - (shift << precision_bits);
    return ((mantissa + 1) << shift) - 1;
  }

  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace tidemark::bench
