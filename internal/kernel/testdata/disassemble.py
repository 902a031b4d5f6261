"""Read every WORD of a Go assembly file back with capstone and hold it against the text behind it."""
import re
import struct
import sys

import capstone

machine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
words = dict(re.findall(r"\tWORD \$0x([0-9a-f]{8}) // (.*)", open(sys.argv[1]).read()))
wrong = 0
for word, text in words.items():
    is_ = [f"{i.mnemonic} {i.op_str}" for i in machine.disasm(struct.pack("<I", int(word, 16)), 0)]
    if is_ != [text]:
        wrong += 1
        print(f"{word} is {is_}, not {text}")
print(f"{len(words)} different words")
if wrong or len(words) < 100 or "WORD" in re.sub(r"\tWORD \$0x[0-9a-f]{8} // .*", "", open(sys.argv[1]).read()):
    raise SystemExit("some words are not what they should be, or could not be read")
