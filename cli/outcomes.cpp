// See outcomes.h.
#include "cli/outcomes.h"

#include "cli/format.h"

namespace tidemark::cli {

using ipc::Outcome;

bool is_success(Outcome outcome) {
  return outcome == Outcome::committed || outcome == Outcome::clean || outcome == Outcome::accepted;
}

std::string outcome_text(Outcome outcome, std::optional<std::string> const& error) {
  std::string const because = error ? ": " + *error : "";
  switch (outcome) {
    case Outcome::committed:
      return "committed";
    case Outcome::clean:
      return "nothing to commit";
    case Outcome::accepted:
      return "accepted, and being committed in the background";
    case Outcome::busy:
      return "a commit is in flight already";
    case Outcome::failed:
      return "the commit failed" + because;
    case Outcome::in_doubt:
      return "whether the commit succeeded can't be known" + because;
    case Outcome::no_owner:
      return "nobody owns these turns";
    case Outcome::owner_offline:
      return "the agent that owns these turns is offline";
    case Outcome::paused:
      return "the provider is paused" + because;
    case Outcome::stuck:
      return "the oldest turns are stuck" + because;
    case Outcome::timeout:
      return "not done in the time given; the attempt goes on";
    case Outcome::running:
      return "a turn is running";
    case Outcome::unknown:
      return "no such session";
  }
  return {};
}

std::string cure_text(Outcome outcome, std::string const& session) {
  auto const name = shell_word(session);
  switch (outcome) {
    case Outcome::committed:
    case Outcome::clean:
    case Outcome::accepted:
      return {};
    case Outcome::busy:
      return "to wait for it and then commit what is left: tidemark commit " + name + " --wait";
    case Outcome::failed:
      return "it is tried again by itself; when: tidemark show " + name + "; now: tidemark commit " + name;
    case Outcome::in_doubt:
      return "it is tried again by itself, with the same key; how that goes: tidemark history " + name;
    case Outcome::no_owner:
      return "to have an agent adopt them: tidemark commit " + name + " --agent NAME";
    case Outcome::owner_offline:
      return "it is asked as soon as it is back; which one, and how to stand in for it: tidemark show " + name;
    case Outcome::paused:
      return "they are committed once it goes on; why it doesn't, and what can be done: tidemark status";
    case Outcome::stuck:
      return "why, and how to retry, settle or abandon them: tidemark show " + name;
    case Outcome::timeout:
      return "how far it is: tidemark show " + name;
    case Outcome::running:
      return "again once it has ended; whether it has: tidemark show " + name;
    case Outcome::unknown:
      return "those that are known: tidemark ls";
  }
  return {};
}

}  // namespace tidemark::cli
