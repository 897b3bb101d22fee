# What Tab gives in fish after each line.
for line in $argv
    complete -C $line
end
