"""검사: 낱말(words), pytest 플러그인, 검사 프로세스(worker)와 그것에 묻는 쪽(checker), 판정(verdict)."""
