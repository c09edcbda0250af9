import type { FailureCode } from "../../api/failure.ts";
import type { ErrorWords, errors as en } from "../en/errors.ts";

export const errors: typeof en & { byCode: Record<FailureCode, ErrorWords> } = {
  byCode: {
    unreachable: {
      what: "O plano de controle não responde.",
      next: "Nada se perdeu. Esta página continua perguntando.",
    },
    unknown: {
      what: "O plano de controle respondeu de um modo que esta página não conhece.",
      next: "Recarregue a página; ela pode ser de uma versão anterior.",
    },
    invalid_input: { what: "Algo no formulário não serve.", next: "Corrija o que está marcado." },
    payload_too_large: { what: "O pedido é grande demais.", next: "Envie menos." },
    unauthenticated: { what: "Você não entrou.", next: "Entre de novo." },
    token_expired: { what: "O seu token expirou.", next: "Entre com outro." },
    forbidden: { what: "Você não pode fazer isso.", next: "Entre como alguém que possa." },
    role_too_low: {
      what: "O seu papel na equipe não permite isso.",
      next: "Peça a alguém que seja dono da equipe.",
    },
    token_too_narrow: {
      what: "Este token é de algumas instâncias, e isso diz respeito à equipe toda.",
      next: "Use um token sem lista de instâncias.",
    },
    member_exists: { what: "A pessoa já está na equipe.", next: "Mude o papel dela na lista." },
    founder_stays: {
      what: "Quem começou a equipe continua sendo dono dela.",
      next: "Traga outras pessoas como donas; elas podem o mesmo.",
    },
    session_needs_own_origin: {
      what: "Neste endereço um navegador não pode entrar: as páginas de todo serviço em /p/ poderiam agir por ele.",
      next: "Abra o painel em um endereço próprio, ou ponha PROXY_PATHS em off (docs/DASHBOARD.md).",
    },
    access_unavailable: {
      what: "O Cloudflare Access não respondeu, então não se pôde verificar quem pergunta.",
      next: "Tente de novo em um momento.",
    },
    secrets_key_missing: {
      what: "Esta implantação não tem chave para guardar segredos.",
      next: "Quem a mantém define SECRETS_KEYS (docs/SECURITY.md).",
    },
    secret_unreadable: {
      what: "Um segredo guardado não pode ser lido: a chave que o selou não existe mais.",
      next: "Devolva a chave a SECRETS_KEYS, ou informe o segredo de novo.",
    },
    state_of_newer_version: {
      what: "A instância foi gravada por uma versão mais nova do controle, e esta não mexe nela.",
      next: "Peça a quem administra que volte àquela versão, ou a uma posterior.",
    },
    instance_not_found: { what: "Não há tal instância.", next: "Veja a sua lista de instâncias." },
    action_not_allowed: {
      what: "No estado atual a instância não pode fazer isso.",
      next: "Veja o que ela pode fazer agora.",
    },
    lease_too_long: {
      what: "Ela não pode ser mantida acordada por tanto tempo de uma vez.",
      next: "Peça menos, ou aumente o limite nos ajustes.",
    },
    snapshot_not_found: {
      what: "A instância não tem tal snapshot.",
      next: "A retenção pode tê-lo removido. Veja a lista.",
    },
    snapshot_damaged: { what: "Esse snapshot não está inteiro no armazenamento.", next: "Escolha outro." },
    snapshot_encrypted: {
      what: "Esse snapshot é cifrado, e a chave dele nunca vem para cá.",
      next: "Veja-o onde está a senha: `soneca-agent ls` e `cat`, ou acorde a instância.",
    },
    snapshot_too_large: {
      what: "Um só pedido não consegue ler tanto de um snapshot.",
      next: "Veja-o com `soneca-agent ls` e `cat`, ou acorde a instância.",
    },
    rollback_needs_sleep: {
      what: "Só enquanto dorme ela pode voltar a um snapshot anterior.",
      next: "Ponha-a para dormir antes: o que está na máquina vira um snapshot próprio.",
    },
    machine_unsaved: {
      what: "A máquina parada tem o que nenhum snapshot tem, e acordar liga essa máquina.",
      next: "Acorde-a sem escolher snapshot e ponha-a para dormir, o que a salva, ou descarte a máquina; depois volte.",
    },
    wake_rate_limited: {
      what: "Ela foi acordada há menos de um minuto.",
      next: "Espere um momento e acorde-a de novo.",
    },
    too_many_requests: { what: "Pedidos demais.", next: "Tente de novo em um momento." },
    machine_not_found: { what: "A conta da vast.ai não tem tal máquina.", next: "Confira o número." },
    machine_already_adopted: { what: "Essa máquina já pertence a uma instância.", next: "Use essa instância." },
    confirm_mismatch: { what: "A confirmação não nomeia esta instância.", next: "Digite o nome como está escrito." },
    too_many_channels: { what: "Já há tantos canais quanto um usuário pode ter.", next: "Apague um deles antes." },
    email_not_set_up: { what: "Esta instalação não envia e-mail.", next: "Escolha outro tipo de canal." },
    object_not_found: { what: "Isso não existe mais.", next: "Recarregue a lista." },
    storage_unavailable: { what: "O armazenamento não respondeu.", next: "Tente de novo em um momento." },
    provider_auth: { what: "A vast.ai recusou a chave.", next: "Ponha outra: a da equipe, ou a da instalação." },
    provider_key_in_use: {
      what: "Há máquinas alugadas com esta chave, e sem ela ninguém poderia encerrá-las.",
      next: "Ponha essas instâncias para dormir primeiro.",
    },
    provider_no_credit: { what: "A conta da vast.ai está sem crédito.", next: "Acrescente crédito e tente de novo." },
    provider_rate_limited: { what: "A vast.ai pede menos pedidos.", next: "Tente de novo em um momento." },
    provider_refused: { what: "A vast.ai recusou o pedido.", next: "Veja as palavras dela abaixo." },
    provider_unavailable: { what: "A vast.ai não respondeu.", next: "Tente de novo em um momento; nada mudou." },
    no_offer: {
      what: "Nenhuma oferta atende GPU, região, disco e preço.",
      next: "Amplie a GPU, a região ou o preço, ou tente mais tarde.",
    },
    database_unavailable: { what: "O banco de dados não respondeu.", next: "Tente de novo em um momento." },
    internal: {
      what: "Algo se quebrou do nosso lado.",
      next: "Tente de novo; se continuar, informe o número do pedido.",
    },
  },
  providerSays: (words) => `A vast.ai diz: ${words}`,
  broken: "Esta parte da página se quebrou.",
  brokenNext: "Recarregue-a. Suas máquinas não são tocadas por isso.",
};
