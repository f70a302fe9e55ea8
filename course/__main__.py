"""`python3 -m course …`: 필요한 것을 갖추고, 갖춘 파이썬으로 명령을 실행합니다.

이 파일과 `bootstrap.py`는 파이썬만 있는 기계에서 처음 실행되므로 표준 라이브러리만 씁니다. 낮은 파이썬도 여기까지는
오므로 둘은 Python 3.8의 문법으로 적습니다: 쓸 수 있는 파이썬을 찾아 알려 주는 것은 `bootstrap.py`의 일입니다.
"""

import sys

if sys.version_info < (3, 8):  # noqa: UP036  더 낮은 파이썬에서도 여기까지는 옵니다.
    sys.exit("Python 3.10 이상이 필요합니다. 지금은 %d.%d입니다: https://www.python.org" % sys.version_info[:2])  # noqa: UP031

from course.bootstrap import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
