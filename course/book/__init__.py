"""강의가 무엇으로 이루어졌는지: 자리(regions), 과제(tasks), 답의 표(tables), 검사의 목록(manifest)."""
