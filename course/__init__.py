"""실습 도구: 만들기(build), 검사(check), 상태(status), 시연(demo), 시험(test). `python -m course --help`

`course`는 어느 과제도 특별히 알지 못합니다. 과제는 `solutions/taskN-이름/`의 단계 파일과 `tests/taskN_이름/`의 검사와
표만으로 생깁니다. `nlpbook`을 읽어 들이지 않습니다.
"""

__version__ = "0.1.0"
