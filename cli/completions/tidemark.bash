# Completion of tidemark(1) in bash. Names of sessions and providers come from the daemon, within a second or not at
# all; they are compared and quoted here and never expanded, as anybody may have chosen them.

# Names that begin with $1, under the member $2 of what `tidemark` with the arguments behind it answers. Reads `where` of
# its callers.
_tidemark_names() {
  local begin=${1#[\"\']} member=$2 name
  begin=${begin//\\/}
  shift 2
  while IFS= read -r name; do
    [[ $name == "$begin"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
  done < <(timeout 1 tidemark "${where[@]}" --json "$@" 2>/dev/null </dev/null |
    grep -o "\"$member\":\"[^\"\\\\]*\"" | cut -d '"' -f 4)
}

# What follows goes to `tidemark ls`.
_tidemark_sessions() {
  _tidemark_names "$1" session ls --limit 1000 "${@:2}"
}

_tidemark_words() {
  mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1")
}

_tidemark_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_tidemark() {
  local cur prev words cword
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n : cur prev words cword
  else
    words=("${COMP_WORDS[@]}")
    cword=$COMP_CWORD
    cur=${words[cword]}
    prev=${words[cword - 1]}
  fi
  COMPREPLY=()

  # The command, how many names stand behind it, and where the daemon is.
  local command='' word index
  local -i names=0
  local -a where=()
  for ((index = 1; index < cword; ++index)); do
    word=${words[index]}
    case $word in
      --socket)
        where=(--socket "${words[++index]/#\~/$HOME}")
        ;;
      --exec)
        if declare -F _command_offset >/dev/null; then
          _command_offset $((index + 1))
        else
          mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        fi
        return
        ;;
      --uid | --limit | --type | --agent | --turn | --timeout | --reason | --scope | --deadline | --through | \
        --session | --group | --max-in-flight)
        ((++index))
        ;;
      -*) ;;
      *)
        if [[ -z $command ]]; then command=$word; else ((++names)); fi
        ;;
    esac
  done

  case $prev in
    --socket)
      _tidemark_files "$cur"
      return
      ;;
    --uid)
      _tidemark_words "$cur" 'all'
      return
      ;;
    --scope)
      _tidemark_words "$cur" 'connection user all'
      return
      ;;
    --type)
      _tidemark_words "$cur" 'turn.completed session.due commit.started commit.accepted commit.succeeded
        commit.failed commit.in_doubt commit.stalled commit.stuck session.clean session.discarded agent.online
        agent.offline agent.orphaned provider.paused provider.resumed daemon.draining'
      return
      ;;
    --session)
      _tidemark_sessions "$cur"
      ;;
    --limit | --agent | --turn | --timeout | --reason | --deadline | --through | --group | --max-in-flight)
      return
      ;;
    *)
      if [[ $cur == -* ]]; then
        local options='--help --socket --json --uid'
        case $command in
          '') options+=' --version' ;;
          status) options+=' --check' ;;
          ls) options+=' --limit --dirty --due --in-flight --confirming --stalled --in-doubt --orphaned --stuck' ;;
          show) ;;
          history) options+=' --limit --evidence' ;;
          watch) options+=' --type' ;;
          complete) options+=' --agent --turn' ;;
          commit) options+=' --agent --wait --timeout' ;;
          flush) options+=' --timeout' ;;
          rotate) options+=' --agent' ;;
          evict) options+=' --timeout' ;;
          discard) ;;
          forget) options+=' --reason' ;;
          drain) options+=' --scope --deadline' ;;
          retry) ;;
          settle) options+=' --through --reason' ;;
          abandon) options+=' --through --reason' ;;
          pause) options+=' --reason' ;;
          resume) options+=' --reason' ;;
          metrics) ;;
          backup) options+=' --force' ;;
          verify) ;;
          agent) options+=' --session --group --serves-orphans --max-in-flight --exec' ;;
        esac
        _tidemark_words "$cur" "$options"
        return
      fi
      case $command:$names in
        :*)
          _tidemark_words "$cur" 'status ls show history watch complete commit flush rotate evict discard forget
            drain retry settle abandon pause resume metrics backup verify agent'
          ;;
        commit:0 | flush:0 | settle:0 | abandon:0) _tidemark_sessions "$cur" --dirty ;;
        retry:0) _tidemark_sessions "$cur" --stuck ;;
        show:0 | history:0 | complete:0 | rotate:[01] | evict:0 | discard:0 | forget:0 | watch:*)
          _tidemark_sessions "$cur"
          ;;
        pause:0 | resume:0) _tidemark_names "$cur" name status ;;
        backup:0) _tidemark_files "$cur" ;;
      esac
      ;;
  esac
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
}

complete -F _tidemark tidemark
