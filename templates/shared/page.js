// 모든 페이지가 함께 쓰는 것. 사람이 적은 글은 언제나 textContent로만 넣습니다. HTML로 해석되는 일이 없습니다.
const $ = (id) => document.getElementById(id);

function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

// Enter로 보내고 Shift+Enter로 줄을 바꿉니다. 한글을 조합하는 중의 Enter는 글자를 마치는 것이지 보내는 것이 아닙니다.
// Safari는 조합을 마친 Enter에도 isComposing이 거짓이라 keyCode 229를 함께 봅니다.
function sendOnEnter(area, form) {
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

// 적은 글자 수. 서버가 세는 것과 같게, 이모지도 하나로 세고 한글은 모아 쓴 글자로 셉니다.
function countLetters(area, place) {
  const limit = Number(area.dataset.limit);
  const show = () => {
    const count = [...area.value.normalize("NFC").trim()].length;
    place.textContent = `${count.toLocaleString("ko")} / ${limit.toLocaleString("ko")}자`;
    place.classList.toggle("error", count > limit);
  };
  area.addEventListener("input", show);
  show();
}

function post(address, body, signal) {
  return fetch(address, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
  });
}

// 서버의 JSON. 오류이거나, 서버 앞의 프록시가 HTML로 답했으면 사람이 읽을 한 문장의 Error입니다.
async function answerOf(response) {
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(`서버의 답이 아닙니다(HTTP ${response.status}). 서버 앞의 프록시가 대신 답했는지 확인해 주세요.`);
  }
  if (!response.ok) throw new Error(answer.error ?? `서버가 거절했습니다(HTTP ${response.status}).`);
  return answer;
}

function sentenceOf(error) {
  return error instanceof TypeError ? "서버에 닿지 않습니다. serve가 켜져 있는지 확인해 주세요." : error.message;
}
