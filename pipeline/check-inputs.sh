#!/bin/sh
# Whether what the user names can be meant: check-inputs.sh NAME=VALUE…, as Make has it. In no time,
# before anything is remembered; whether checkpoints and data fit together, vlsi-plan --inputs says.
set -u
code=0
check_file() { # name, file
  if [ ! -e "$2" ]; then
    refuse 66 "$1: no such file: $2"
  elif [ ! -f "$2" ]; then
    refuse 65 "$1: not a file: $2"
  elif [ ! -r "$2" ]; then
    refuse 66 "$1: no right to read $2"
  elif [ ! -s "$2" ]; then
    refuse 65 "$1: the file is empty: $2"
  fi
}
refuse() { # exit code, message
  printf 'error: %s\n' "$2" >&2
  [ "$code" -ne 0 ] || code=$1
}
for word; do
  name=${word%%=*}
  value=${word#*=}
  case $name in
    TEACHER | STUDENT)
      if [ ! -e "$value" ]; then
        refuse 66 "$name: no such folder: $value; expected a checkpoint as downloaded from the hub"
      elif [ ! -d "$value" ]; then
        refuse 65 "$name: not a folder: $value; expected a checkpoint as downloaded from the hub"
      fi
      ;;
    IMAGES)
      if [ ! -e "$value" ]; then
        refuse 66 "$name: no such folder: $value; expected where the data set's image paths start"
      elif [ ! -d "$value" ]; then
        refuse 65 "$name: not a folder: $value; expected where the data set's image paths start"
      fi
      ;;
    DATASET)
      if [ -d "$value" ]; then
        :
      elif [ -e "$value" ]; then
        check_file "$name" "$value"
      else
        # Several between blanks, each with its weight behind a star.
        set -f
        for file in $value; do
          case $file in *\**) [ -e "$file" ] || file=${file%\**} ;; esac
          [ -d "$file" ] || check_file "$name" "$file"
        done
        set +f
      fi
      ;;
    BENCHMARK)
      if [ -e "$value" ]; then
        check_file "$name" "$value"
      else
        # Several between blanks.
        set -f
        for file in $value; do check_file "$name" "$file"; done
        set +f
      fi
      ;;
    SEED | THREADS | JOBS | COMPARE)
      case $value in
        *[!0-9]* | "") refuse 64 "$name: expected a whole number, found $value" ;;
      esac
      ;;
    NODES | SHARES | RANKS | CORES)
      case $value in
        *[!0-9]* | "" | 0*) refuse 64 "$name: expected a whole number of 1 or more, found $value" ;;
      esac
      ;;
    FANOUT)
      case $value in
        slurm | local:[1-9] | local:[1-9][0-9] | local:[1-9][0-9][0-9]) ;;
        *) refuse 64 "$name: expected local:N or slurm, found $value" ;;
      esac
      ;;
    STUDENT_ID | TEACHER_ID)
      case $value in
        [!A-Za-z0-9]* | */[!A-Za-z0-9]* | *[!A-Za-z0-9._/-]* | */*/* | */)
          refuse 64 "$name: expected a model's name on the hub, owner/name, found $value" ;;
        */*) ;;
        *) refuse 64 "$name: expected a model's name on the hub, owner/name, found $value" ;;
      esac
      ;;
    FROM)
      case $value in
        *[!A-Za-z0-9._-]*) refuse 64 "$name: expected the name of a run, or none, found $value" ;;
        none) ;;
        *) [ -d "runs/$value" ] || refuse 66 "$name: there is no run runs/$value" ;;
      esac
      ;;
    CELLS | SEEDS | SPLIT | ABLATIONS | PARTITION | MPI | NETWORK)
      case $value in
        *[!A-Za-z0-9.,/_+\ -]*)
          refuse 64 "$name: expected letters, digits and . , / _ + -, found $value" ;;
      esac
      case $name:$value in
        ABLATIONS:*\ * | SPLIT:*[\ /]* | PARTITION:*\ * | MPI:*\ * | NETWORK:*[!0-9.]*)
          refuse 64 "$name: expected one word without a blank, found $value" ;;
      esac
      ;;
  esac
done
exit "$code"
