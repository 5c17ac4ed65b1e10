# Completion of tidemark(1) in fish. Names of sessions and providers come from the daemon, within a second or not at all.

# The command on the line so far; nothing if there is none yet.
function __tidemark_command
    set -l words (commandline -opc)
    set -l is_value 0
    for word in $words[2..]
        if test $is_value = 1
            set is_value 0
            continue
        end
        switch $word
            case --socket --uid
                set is_value 1
            case '-*'
            case '*'
                echo -- $word
                return
        end
    end
end

function __tidemark_before_command
    test -z "$(__tidemark_command)"
end

function __tidemark_at
    test "$(__tidemark_command)" = $argv[1]
end

# Names under the member $argv[1] of what `tidemark` with the arguments behind it answers.
function __tidemark_names
    set -l words (commandline -opc)
    set -l where
    if set -l at (contains -i -- --socket $words)
        set where --socket $words[(math $at + 1)]
    end
    timeout 1 tidemark $where --json $argv[2..] 2>/dev/null </dev/null |
        string match -rga "\"$argv[1]\":\"([^\"\\\\]*)\""
end

# What follows goes to `tidemark ls`.
function __tidemark_sessions
    __tidemark_names session ls --limit 1000 $argv
end

complete -c tidemark -f
complete -c tidemark -l help -d 'print help'
complete -c tidemark -l socket -rF -d 'the daemon\'s socket'
complete -c tidemark -l json -d 'print the result as one line of JSON'
complete -c tidemark -l uid -xa all -d 'for admins: whose sessions are meant'
complete -c tidemark -n __tidemark_before_command -l version -d 'print the version'

complete -c tidemark -n __tidemark_before_command -a status -d 'how the daemon is, and how much is uncommitted'
complete -c tidemark -n '__tidemark_at status' -l check -d 'exit with 1 if something is amiss'

complete -c tidemark -n __tidemark_before_command -a ls -d 'the sessions that are known'
complete -c tidemark -n '__tidemark_at ls' -l limit -x -d 'how many at most'
complete -c tidemark -n '__tidemark_at ls' -l dirty -d 'only sessions with something dirty'
complete -c tidemark -n '__tidemark_at ls' -l due -d 'only sessions with something due'
complete -c tidemark -n '__tidemark_at ls' -l in-flight -d 'only sessions with something in flight'
complete -c tidemark -n '__tidemark_at ls' -l confirming -d 'only sessions with something confirming'
complete -c tidemark -n '__tidemark_at ls' -l stalled -d 'only sessions with something stalled'
complete -c tidemark -n '__tidemark_at ls' -l in-doubt -d 'only sessions with something in doubt'
complete -c tidemark -n '__tidemark_at ls' -l orphaned -d 'only sessions with something orphaned'
complete -c tidemark -n '__tidemark_at ls' -l stuck -d 'only sessions with something stuck'

complete -c tidemark -n __tidemark_before_command -a show -d 'one session and what each of its segments waits for'
complete -c tidemark -n '__tidemark_at show' -a '(__tidemark_sessions)'

complete -c tidemark -n __tidemark_before_command -a history -d 'the attempts at committing, newest first'
complete -c tidemark -n '__tidemark_at history' -a '(__tidemark_sessions)'
complete -c tidemark -n '__tidemark_at history' -l limit -x -d 'how many at most'
complete -c tidemark -n '__tidemark_at history' -l evidence -d 'also what the providers have left of each'

complete -c tidemark -n __tidemark_before_command -a watch -d 'follow what happens, until interrupted'
complete -c tidemark -n '__tidemark_at watch' -a '(__tidemark_sessions)'
complete -c tidemark -n '__tidemark_at watch' -l type -xa 'turn.completed session.due commit.started commit.accepted commit.succeeded commit.failed commit.in_doubt commit.stalled commit.stuck session.clean session.discarded agent.online agent.offline agent.orphaned provider.paused provider.resumed daemon.draining' -d 'only events of this type'

complete -c tidemark -n __tidemark_before_command -a complete -d 'mark a turn as completed'
complete -c tidemark -n '__tidemark_at complete' -a '(__tidemark_sessions)'
complete -c tidemark -n '__tidemark_at complete' -l agent -x -d 'who owns the turn'
complete -c tidemark -n '__tidemark_at complete' -l turn -x -d 'the turn\'s id'

complete -c tidemark -n __tidemark_before_command -a commit -d 'commit the oldest segment of a session now'
complete -c tidemark -n '__tidemark_at commit' -a '(__tidemark_sessions --dirty)'
complete -c tidemark -n '__tidemark_at commit' -l agent -x -d 'who adopts turns that nobody owns'
complete -c tidemark -n '__tidemark_at commit' -l wait -d 'wait for a commit that is in flight first'
complete -c tidemark -n '__tidemark_at commit' -l timeout -x -d 'how long to wait'

complete -c tidemark -n __tidemark_before_command -a flush -d 'try every dirty segment of a session once, oldest first'
complete -c tidemark -n '__tidemark_at flush' -a '(__tidemark_sessions --dirty)'
complete -c tidemark -n '__tidemark_at flush' -l timeout -x -d 'how long to wait'

complete -c tidemark -n __tidemark_before_command -a rotate -d 'leave a session for another'
complete -c tidemark -n '__tidemark_at rotate' -a '(__tidemark_sessions)'
complete -c tidemark -n '__tidemark_at rotate' -l agent -x -d 'the agent of the session that begins'

complete -c tidemark -n __tidemark_before_command -a evict -d 'commit a session and let go of its agent'
complete -c tidemark -n '__tidemark_at evict' -a '(__tidemark_sessions)'
complete -c tidemark -n '__tidemark_at evict' -l timeout -x -d 'how long to wait'

complete -c tidemark -n __tidemark_before_command -a discard -d 'forget a session that is clean'
complete -c tidemark -n '__tidemark_at discard' -a '(__tidemark_sessions)'

complete -c tidemark -n __tidemark_before_command -a forget -d 'drop a session with all that is pending of it'
complete -c tidemark -n '__tidemark_at forget' -a '(__tidemark_sessions)'
complete -c tidemark -n '__tidemark_at forget' -l reason -x -d 'why, for the record'

complete -c tidemark -n __tidemark_before_command -a drain -d 'commit all that is dirty, within a deadline'
complete -c tidemark -n '__tidemark_at drain' -l scope -xa 'connection user all' -d 'whose sessions'
complete -c tidemark -n '__tidemark_at drain' -l deadline -x -d 'how long to go on'

complete -c tidemark -n __tidemark_before_command -a retry -d 'let what is stuck in a session be attempted again'
complete -c tidemark -n '__tidemark_at retry' -a '(__tidemark_sessions --stuck)'

complete -c tidemark -n __tidemark_before_command -a settle -d 'say that turns did reach the memory'
complete -c tidemark -n '__tidemark_at settle' -a '(__tidemark_sessions --dirty)'
complete -c tidemark -n '__tidemark_at settle' -l through -x -d 'up to this turn, included'
complete -c tidemark -n '__tidemark_at settle' -l reason -x -d 'why, for the record'

complete -c tidemark -n __tidemark_before_command -a abandon -d 'drop turns that will never be committed'
complete -c tidemark -n '__tidemark_at abandon' -a '(__tidemark_sessions --dirty)'
complete -c tidemark -n '__tidemark_at abandon' -l through -x -d 'up to this turn, included'
complete -c tidemark -n '__tidemark_at abandon' -l reason -x -d 'why, for the record'

complete -c tidemark -n __tidemark_before_command -a pause -d 'let a provider commit nothing until it is resumed'
complete -c tidemark -n '__tidemark_at pause' -a '(__tidemark_names name status)'
complete -c tidemark -n '__tidemark_at pause' -l reason -x -d 'why, for those who look at its state'

complete -c tidemark -n __tidemark_before_command -a resume -d 'let a provider commit again, whatever has paused it'
complete -c tidemark -n '__tidemark_at resume' -a '(__tidemark_names name status)'
complete -c tidemark -n '__tidemark_at resume' -l reason -x -d 'why; it isn\'t kept'

complete -c tidemark -n __tidemark_before_command -a metrics -d 'the daemon\'s numbers, as OpenMetrics text'

complete -c tidemark -n __tidemark_before_command -a backup -d 'copy the journal to a file, while the daemon goes on'
complete -c tidemark -n '__tidemark_at backup' -F
complete -c tidemark -n '__tidemark_at backup' -l force -d 'replace a file that is there'

complete -c tidemark -n __tidemark_before_command -a verify -d 'check a copy of the journal'

complete -c tidemark -n __tidemark_before_command -a agent -d 'serve an agent\'s commits by running a command'
complete -c tidemark -n '__tidemark_at agent' -l session -xa '(__tidemark_sessions)' -d 'a session whose current agent it becomes'
complete -c tidemark -n '__tidemark_at agent' -l group -x -d 'agents of one group commit for those that are gone'
complete -c tidemark -n '__tidemark_at agent' -l serves-orphans -d 'commit for any of the group that is gone'
complete -c tidemark -n '__tidemark_at agent' -l max-in-flight -x -d 'how many commands run at a time'
complete -c tidemark -n '__tidemark_at agent' -l exec -xa '(__fish_complete_command)' -d 'the program to run for each commit'
