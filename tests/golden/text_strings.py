"""Nasty strings for tokenizers: every kind of text that a pre-tokenizer's rules tell apart.

Deterministic; imported by text.py, which asks llama.cpp for their ids.
"""

import random

PLAIN = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n", "\r", "\t", "\t\t", " \t ", "\x0b", "\x0c",
    "\u00a0", "\u00a0\u00a0", "\u3000", "\u3000\u3000 ", "\u2003\u2009", "\u202f", "\u2028", "\u2029", "\u0085", "\u1680",
    "\u200b", "\u200d", "\ufeff", "\ufffd", "\ufffe", "\U0010ffff", "\ue000", "\u00ad", "\u2060",
    "a", "A", "z", "0", "9", "!", "'", '"', "\\", "/", "~", "\x00", "\x01", "\x04", "\x16", "\x1b[0m", "\x7f", "\x80", "\x9f",
    "Hello", "hello", " hello", "Hello, world!", " Hello  World ", "Hello   World", "Hello\nWorld", "Hello \n World",
    "Hello\n\n  World", "Hello\n \n World", "Hello World \n", "trailing space ", "trailing spaces   ", " leading", "   leading three",
    "tab\tseparated\tvalues", "\tindented", "\t\tdouble", " \tmixed", "\t mixed", "a\u00a0b", "a\u3000b", "a \u00a0 b", "a\u2003\u2003b",
    "word\u00a0\u00a0word", "x\u200by", "x\u2028y", "x\u0085y", "line\r\nline\r\n\r\nline", "line\rline\r\rline", "\n \n \n", " \n\n \n", "\n\t\n\t",
    "   \n", "   \n   ", "a   \n   b", "a\n   \n\n b", "\u3000\n\u3000a", "a\u00a0\n\u00a0b", "\n\u00a0\n", "  \u00a0x", "\u00a0 x", " \u3000x",
    "I'm", "I'M", "we're", "We'Re", "you've", "YOU'VE", "he'll", "HE'LL", "she'd", "SHE'D", "it's", "IT'S", "don't", "DON'T", "'s", "'S", "'t", "'T",
    "'re", "'RE", "'Re", "'rE", "'ve", "'Ve", "'ll", "'lL", "'d", "'D", "'m", "'M", "'x", "''s", "'s's", "' s", "a's", "a 's", "a' s", "1's", "!'s", "\n's", " 's", "  's",
    "'\u017f", "a'\u017f", "\u2019s", "it\u2019s", "don\u2019t", "'S'Re'lL", "'sa", "'ta", "'rea", "'lla", "'dm", "o'clock", "rock'n'roll", "'tis", "'twas", "l'amour", "d'Artagnan",
    "1", "12", "123", "1234", "12345", "123456", "1234567890", " 1", " 12", "  12", "1 2 3", "1, 2, 3", "1.5", "-1.5e-10", "0x1F", "1_000_000", "1,000,000.00", "a1", "1a", "a1b2c3",
    "v1.2.3-rc4", "3.14159", "10%", "$100", "100\u20ac", "12:34:56", "2024-02-29", "192.168.0.1", "+49 (0)30 123456", "\u0661\u0662\u0663", "\u0967\u0968\u0969\u096a", "\u00b2\u00b3\u00b9", "\u00bd\u00bc", "\u2160\u2161\u216b", "\u2460\u2461", "\uff11\uff12\uff13\uff14", "1\u00b2", "x\u00b2", "\U0001d7d8\U0001d7d9\U0001d7da", "\u4e00\u4e8c\u4e09", "5\u4e07", "\u06f1\u06f2\u06f3\u06f4", "1st 2nd 3rd 4th",
    "...", "....", "!!!", "?!?!", ".,;:", "--", "---", "----------", "==", "===", "=>", "->", "<-", "<=>", "&&", "||", "::", "//", "/*", "*/", "#", "##", "###", "####", "@", "@@", "$", "$$", "%", "^", "`", "```", "~~", "\\n", "\\\\", "\\u0041", "\\x41", "%20", "&amp;", "&#x41;",
    "(a)", "[a]", "{a}", "<a>", "</a>", "a.b", "a,b", "a, b", "a ,b", "a;b", "a:b", "a/b", "a\\b", "a_b", "a__b", "_a", "a-b", "a--b", "a+b", "a=b", "a == b", "a!=b", "a|b", "a~b", "a^b", "a`b", "a$b", "a@b.c", "a#b", "a&b", "a*b", "a**b", "a?b", "a!b", 'a"b', " .", " ,", " !", " ?", ". ", "...\n", "!\n\n", "! \n", ";\r\n", "/\n", "//\n/", ".\n/a", ")/\n\n", "a.\n\nb", "a...b", "\u2026", "\u2026\u2026", "\u00a1\u00bf", "\u00ab\u00bb", "\u201equote\u201c", "\u2018\u2019", "\u2013\u2014", "\u2022 item", "\u00a7 1", "\u00b6", "\u2020", "\u2122\u00ae\u00a9", "\u00b0C", "\u20ac\u00a3\u00a5", "\u2211\u222b\u221a", "\u2264\u2265\u2260", "\u2190\u2192", "\u25a0\u25cf",
    "caf\u00e9", "cafe\u0301", "na\u00efve", "\u00c5ngstr\u00f6m", "A\u030angstro\u0308m", "Stra\u00dfe", "STRASSE", "\u0130stanbul", "\u0131", "\ufb01ne \ufb02ow", "e\u0301\u0323\u0302", "a\u0300\u0301\u0302\u0303\u0304", "\u0301", " \u0301", "\u0301a", "1\u0301", "!\u0301", "\u20e3", "1\ufe0f\u20e3", "Z\u0351\u036b\u0343\u036a\u0302a\u0346\u0312l\u0328\u0353g\u0329\u0331o\u0302\u0319",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u041f\u0420\u0418\u0412\u0415\u0422", "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac", "\u03ac\u03b8\u03c2", "\u0540\u0561\u0575", "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8", "\u13e3\u13b3\u13a9", "\u1c90\u1c91", "\u2c00\u2c30",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u4f60\u597d \u4e16\u754c", "\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a\u6587\u3002", "\u30ab\u30bf\u30ab\u30ca\u30fc", "\uff76\uff80\uff76\uff85", "\u3072\u3089\u304c\u306a", "\u300c\u5f15\u7528\u300d\u3001\u300e\u5f15\u300f", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4", "\u1112\u1161\u11ab", "\u3105\u3106", "\u9f8d\u9f8e\U00020000\U0002a6d6", "\u3400\u4dbf", "\u4e2dA\u6587B", "A\u4e2d1\u6587", "\u65e5\u672c\u8a9e\u30c6\u30ad\u30b9\u30c8123abc", "\uff21\uff22\uff43", "\u3007", "\ua000\ua001",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u0627\u0644\u0633\u0651\u0644\u0627\u0645\u064f", "\u060c \u061b \u061f", "\u06d4", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\u202eabc\u202c", "\u2067\u05d0\u2069 a", "\u200f\u05d0\u200e1", "abc \u05d0\u05d1\u05d2 123 \u0623", "\u0641\u0627\u0631\u0633\u06cc\u200c\u0647\u0627", "\u0626\u06c7\u064a\u063a\u06c7\u0631",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0995\u09cd\u09b7", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u0c24\u0c46\u0c32\u0c41\u0c17\u0c41", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u0e19\u0e49\u0e33", "\u0ea5\u0eb2\u0ea7", "\u1019\u103c\u1014\u103a\u1019\u102c", "\u1797\u17b6\u179f\u17b6", "\u0f56\u0f7c\u0f51\u0f0b", "\u12a0\u121b\u122d\u129b", "\u1820\u1828", "\u07d2\u07de\u07cf",
    "\U0001f600", "\U0001f600\U0001f601", " \U0001f600", "a\U0001f600b", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f1e9\U0001f1ea", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\u2764\ufe0f", "\u2764", "\u263a\ufe0e", "\U0001f9d1\U0001f3ff\u200d\U0001f4bb", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001fae0", "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468", "ok \U0001f44d!", "\U0001f600\n\U0001f600", "\U0001d54f\U0001d550", "\U0001d400bc", "\U00010348", "\U00012000", "\U00013000", "\U0001f0a1", "\U000e0001",
    "def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "fn main() { println!(\"{}\", 1); }", "SELECT * FROM t WHERE a='b' AND c>=10;", "<div class=\"x\">\n  <p>Hi &amp; bye</p>\n</div>", "{\"a\": [1, 2.5, null, true], \"b\": {}}", "https://example.org/a/b?c=d&e=f#g", "user@example.org", "C:\\Users\\x\\n.txt", "/usr/local/bin/env -S bash -c 'echo $HOME'", "s/\\(a\\)*/\\1/g", "^[\\w.]+@\\d{2,}$", "int *p=&x;//c", "#!/bin/sh\nset -e\n", "a=b;c+=d;e<<=2;", "if(!x){y--;}", "camelCaseIdentifier", "PascalCaseXMLParser", "snake_case_name", "SCREAMING_SNAKE", "kebab-case-name", "x1y2z3", "HTTPServer2Go", "iPhone", "eBay's", "McDONALD's", "ABCdefGHI", "aB", "Ab", "aBC", "ABc", "\u00c9T\u00c9\u00e9t\u00e9", "\u01c5\u01c5a", "\u0416\u0436\u0416", "        eight spaces", "\t\t\tx\n\t\ty\n", "\n    a\n        b\n", "a  b   c    d     e", "a\n\nb\n\n\nc\n\n\n\nd", "x = 'it''s'", "\"\\\"\"", "\\u00e9 \\ud83d\\ude00", "\\0\\1\\777", "\\", "%s %d %%", "{{ x }} {% y %}", "${z} $(w) `v`", "a\x00b", "\x01\x02\x03\x04", "a\x04\x06b", "\x13\x14\x16\x1d", "\U00040000", "\U00050001a", "\U000c0000 \U00080000",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "a<|im_end|>b", " <|im_end|> ", "<|im_start|><|im_start|>", "<|im_start", "im_start|>", "<|im_start|", "<<|im_start|>>", "<|IM_START|>", "< |im_start|>", "<|im_start|>\n\n<|im_end|>", "x<|endoftext|>y<|endoftext|>", "<repo_name>a<file_sep>b", "<s>", "</s>", "<s>a</s>", "<unk>", "<unk>a<unk>", "<pad>", "<tool>", "a<tool>b", "<tool><tool>", " <tool> x", "<|eot_id|>", "[[a]]b", "[[a", "a]]b", "[[[a]]]b", "<0x0A>", "<0xFF>", "\u2581", "\u2581a", "a\u2581b", " \u2581 ", "[INST] hi [/INST]", "<<SYS>>\nx\n<</SYS>>", "<unused>", "\u0120hello", "\u010a", "\u00c3\u00a9", "<|im_start|>  x", "x  <|im_end|>  y", "<|im_end|>'s", "1<|im_end|>2",
]

WORDS = ["the", "quick", "Brown", "FOX", "don't", "1234", "3.14", "\u00e9t\u00e9", "\u4e2d\u6587", "\U0001f600", "\u0443\u0442\u0440\u043e", "x_y", "...", "(", ")", "\u0e44\u0e17\u0e22", "\u0639", "'s", "'LL", "\u0301", "\u00bd", "\u20ac", "<", ">", "|", "{", "a's"]
SPACES = ["", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", " \n ", "\u00a0", "\u3000", "\t\t", "    "]


def strings():
    rng = random.Random(20240229)
    out = list(PLAIN)
    for _ in range(120):
        n = rng.randrange(2, 9)
        out.append("".join(rng.choice(SPACES) + rng.choice(WORDS) for _ in range(n)) + rng.choice(SPACES))
    for _ in range(30):
        out.append("".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xA0, 0x600), rng.randrange(0x3000, 0x3100), rng.randrange(0x4E00, 0x9FFF), rng.randrange(0x1F300, 0x1F700)])) for _ in range(rng.randrange(3, 20))))
    for n in (17, 64, 300):
        out += [" " * n + "x", "\n" * n + "x", "7" * n, "a" * n, "=" * n, "\u00e9" * n]
    out.append("The quick brown fox jumps over the lazy dog. " * 40)
    out.append("".join(rng.choice("abcdefghij \n0123456789'.,") for _ in range(3000)))
    return list(dict.fromkeys(out))


if __name__ == "__main__":
    print(len(strings()))
