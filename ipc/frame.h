// Bytes in, lines out. A frame is one line of at most `frame_bytes_max` bytes, ended by "\n" or "\r\n"; empty lines are
// passed over. One buffer a connection, which holds what was fed and not taken yet and shrinks when that is little.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ipc/bounds.h"

namespace tidemark::ipc {

/// Cuts a stream into frames. Belongs to one connection and its thread.
class FrameReader {
 public:
  enum class Outcome {
    frame,       ///< a whole line was given out
    incomplete,  ///< no whole line is there: feed more
    overflow,    ///< the line passes the bound; from now on always so, as nothing after it can be trusted to be a frame
  };

  explicit FrameReader(std::size_t frame_bytes_max = bounds::frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  /// Adds bytes as they came, cut anywhere. Ends the life of the frame given out last.
  void feed(std::string_view bytes);

  /// Takes the next line, without its end, into `frame`: a view that lives until the next call of `feed` or `next`.
  Outcome next(std::string_view& frame);

  /// Bytes held that no frame given out has used up.
  std::size_t bytes_pending() const { return buffer_.size() - begin_; }
  /// Bytes of memory held.
  std::size_t bytes_capacity() const { return buffer_.capacity(); }

 private:
  void drop_taken();

  std::size_t frame_bytes_max_;
  std::string buffer_;
  std::size_t begin_ = 0;    // the first byte not given out
  std::size_t scanned_ = 0;  // no line end lies between begin_ and here
  bool overflow_ = false;
};

}  // namespace tidemark::ipc
