// See commands.h.
#include "cli/commands.h"

#include <array>

namespace tidemark::cli {

std::span<Command const> commands() {
  static constexpr std::array<Command, 22> rows{{
      {"status", "how the daemon is, and how much is uncommitted", "tidemark status --check", status},
      {"ls", "the sessions that are known", "tidemark ls --stuck", list},
      {"show", "one session and what each of its segments waits for", "tidemark show chat-42", show},
      {"history", "the attempts at committing, newest first", "tidemark history chat-42 --limit 5", history},
      {"watch", "follow what happens, until interrupted", "tidemark watch chat-42 --type commit.failed", watch},
      {"complete", "mark a turn as completed", "tidemark complete chat-42 --agent codex --turn 0193-a7", complete},
      {"commit", "commit the oldest segment of a session now", "tidemark commit chat-42 --wait --timeout 10s", commit},
      {"flush", "try every dirty segment of a session once, oldest first", "tidemark flush chat-42 --timeout 1m",
       flush},
      {"rotate", "leave a session for another; the one left is committed in the background",
       "tidemark rotate chat-42 chat-43", rotate},
      {"evict", "commit a session and let go of its agent, unless a turn is running", "tidemark evict chat-42", evict},
      {"discard", "forget a session that is clean", "tidemark discard chat-42", discard},
      {"forget", "drop a session with all that is pending of it", "tidemark forget chat-42 --reason 'made by mistake'",
       forget},
      {"drain", "commit all that is dirty, within a deadline", "tidemark drain --deadline 30s", drain},
      {"retry", "let what is stuck in a session be attempted again", "tidemark retry chat-42", retry},
      {"settle", "say that turns did reach the memory", "tidemark settle chat-42 --through 9 --reason 'seen there'",
       settle},
      {"abandon", "drop turns that will never be committed",
       "tidemark abandon chat-42 --through 9 --reason 'provider refuses them'", abandon},
      {"pause", "let a provider commit nothing until it is resumed", "tidemark pause memory --reason 'being moved'",
       pause},
      {"resume", "let a provider commit again, whatever has paused it", "tidemark resume memory", resume},
      {"metrics", "the daemon's numbers, as OpenMetrics text", "tidemark metrics", metrics},
      {"backup", "copy the journal to a file, while the daemon goes on", "tidemark backup /srv/backup/tidemark.db",
       backup},
      {"verify", "check a copy of the journal: the database, and every row by the contract", "tidemark verify", verify},
      {"agent", "serve an agent's commits by running a command",
       "tidemark agent codex --session chat-42 --exec save-memory --quiet", agent},
  }};
  return rows;
}

}  // namespace tidemark::cli
