// See frame.h. Each byte is looked at once, however small the pieces it comes in.
#include "ipc/frame.h"

namespace tidemark::ipc {

void FrameReader::feed(std::string_view bytes) {
  if (overflow_) return;
  drop_taken();
  buffer_.append(bytes);
}

FrameReader::Outcome FrameReader::next(std::string_view& frame) {
  while (!overflow_) {
    std::size_t const end = buffer_.find('\n', scanned_);
    bool const whole = end != std::string::npos;
    std::size_t length = (whole ? end : buffer_.size()) - begin_;
    if (length > 0 && buffer_[begin_ + length - 1] == '\r') --length;
    if (length > frame_bytes_max_) {
      overflow_ = true;
      begin_ = scanned_ = 0;
      std::string().swap(buffer_);
      break;
    }
    if (!whole) {
      scanned_ = buffer_.size();
      drop_taken();
      return Outcome::incomplete;
    }
    std::size_t const begin = begin_;
    begin_ = scanned_ = end + 1;
    if (length == 0) continue;
    frame = std::string_view(buffer_).substr(begin, length);
    return Outcome::frame;
  }
  return Outcome::overflow;
}

void FrameReader::drop_taken() {
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  if (buffer_.capacity() > bounds::idle_buffer_bytes && buffer_.size() < buffer_.capacity() / 4)
    buffer_.shrink_to_fit();
}

}  // namespace tidemark::ipc
