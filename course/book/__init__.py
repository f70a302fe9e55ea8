"""강의를 이루는 것: 자리(regions), 과제(tasks), 답의 표(tables), 검사의 목록(manifest), 나누어 준 것(git)."""
