/** The scripts by which shells ask `alluxio __complete`: what it prints is a candidate a line, with a description behind a tab, or `:files`. */

const bash = `# bash completion for alluxio
_alluxio() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o default 2>/dev/null
    else
      COMPREPLY+=("\${line%%$'\\t'*}")
    fi
  done < <("\${1/#\\~/$HOME}" __complete bash -- "$COMP_WORDBREAKS" "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null </dev/null)
  if [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *[/=] ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _alluxio alluxio
`;

const zsh = `#compdef alluxio
# zsh completion for alluxio
_alluxio() {
  local line value
  local -a open closed shown
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      _files
      return
    fi
    value=\${line%%$'\\t'*}
    if [[ $value == *[/=] ]]; then
      open+=("$value")
    else
      closed+=("$value")
      shown+=("\${line/$'\\t'/  -- }")
    fi
  done < <("\${(Q)words[1]/#\\~/$HOME}" __complete zsh -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null </dev/null)
  compadd -S '' -a open
  compadd -l -d shown -a closed
}
if [[ \${funcstack[1]} == _alluxio ]]; then
  _alluxio "$@"
else
  compdef _alluxio alluxio
fi
`;

const fish = `# fish completion for alluxio
function __alluxio_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct | string unescape)
  set -l lines ($words[1] __complete fish -- $words[2..-1] "$current" 2>/dev/null </dev/null)
  if test "$lines[1]" = ':files'
    __fish_complete_path (commandline -ct)
  else
    string join \\n -- $lines
  end
end
complete -c alluxio -f -a '(__alluxio_complete)'
`;

export const completionScripts = { bash, zsh, fish } as const;
export type Shell = keyof typeof completionScripts;
export const shells = Object.keys(completionScripts) as readonly Shell[];
