"""Sizes of the tiny mlx-lm architectures: by the name of a field, and where an architecture needs its own."""

from typing import Any

# Modules that architectures share, not architectures.
ALONE = {
    "activations", "base", "bitlinear_layers", "cache", "gated_delta", "mla", "pipeline", "rope_utils", "ssm",
    "switch_layers",
}  # fmt: skip
LEFT_OUT = {
    "bitnet": "runs a Metal kernel of its own, which no other machine computes",
    "muse_spark": "runs Metal kernels of its own, which no other machine computes",
    "olmo": "needs the package ai2-olmo, and ends the process without it",
}
# Measured as mlx-lm ships them too. MLX's CPU computes the gathered products of experts in float32 only.
IN_4_BITS = ["llama", "gemma3_text", "qwen3_moe", "phi3", "gpt_oss", "deepseek_v3", "mamba2", "qwen3_next"]
IN_BFLOAT16 = ["llama", "gemma3_text", "qwen3", "phi3", "mamba2"]
# Whose parameters are float16 in part, so that MLX rounds to 11 bits in places.
IN_FLOAT16 = {"prism_hadamard_qwen35"}

_SIZES: list[tuple[Any, str]] = [
    (64, "vocab_size hidden_size n_embd d_model model_dim hidden_dim num_vocab block_dim n_positions n_ctx "
     "max_position_embeddings model_max_length block_size intermediate_size_mlp vocab_size_per_layer_input "
     "dim_model_base mamba_d_ssm original_max_position_embeddings"),
    (96, "intermediate_size n_inner ffn_hidden_size ff_intermediate_size dense_intermediate_size ffn_dim"),
    (32, "moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size kv_lora_rank "
     "expert_ffn_hidden_size moe_hidden_size share_expert_dim moe_shared_expert_intermediate_size "
     "q_lora_rank o_lora_rank hidden_size_per_layer_input laurel_rank"),
    (16, "head_dim qk_nope_head_dim v_head_dim swa_head_dim swa_v_head_dim index_head_dim "
     "mamba_head_dim hidden_size_per_head mamba_d_head linear_key_head_dim linear_value_head_dim kv_channels "
     "global_head_dim query_pre_attn_scalar mamba_d_state ssm_state_size state_size"),
    (8, "qk_rope_head_dim rotary_dim a_low_rank_dim decay_low_rank_dim gate_low_rank_dim v_low_rank_dim "
     "mamba_chunk_size"),
    (4, "num_attention_heads n_head n_heads num_heads mamba_num_heads mamba_n_heads num_experts "
     "swa_num_attention_heads num_local_experts n_routed_experts moe_num_experts index_n_heads "
     "linear_num_value_heads conv_kernel conv1d_width mamba_d_conv linear_conv_kernel_dim index_topk"),
    (3, "sliding_window sliding_window_size attention_window_size window_size loop_window_size conv_L_cache"),
    (2, "num_hidden_layers n_layer n_layers num_layers num_key_value_heads n_kv_heads num_kv_heads "
     "n_shared_head swa_num_key_value_heads num_experts_per_tok num_experts_per_token moe_topk moe_top_k "
     "num_attention_groups linear_num_key_heads n_groups o_groups sliding_window_pattern time_step_rank "
     "n_group mamba_expand"),
    (1, "topk_group first_k_dense_replace num_shared_experts n_shared_experts num_shared_expert "
     "moe_layer_freq decoder_sparse_step"),
    (1e-5, "rms_norm_eps layer_norm_eps layer_norm_epsilon norm_eps layernorm_epsilon post_norm_eps"),
    (10000.0, "rope_theta rotary_emb_base rope_local_base_freq swa_rope_theta"),
    (0.5, "partial_rotary_factor rotary_pct"),
    (True, "norm_topk_prob use_qk_norm qk_norm"),
]  # fmt: skip
SMALL = {name: value for value, names in _SIZES for name in names.split()}

# Architectures around another one: the module and the dataclass whose fields their text_config holds.
TEXT = {
    "gemma3": ("gemma3_text", "ModelArgs"), "gemma3n": ("gemma3n", "TextConfig"),
    "gemma4": ("gemma4_text", "ModelArgs"), "kimi_k25": ("deepseek_v3", "ModelArgs"),
    "kimi_k3": ("kimi_k3", "TextArgs"), "kimi_vl": ("kimi_vl", "TextArgs"), "lfm2-vl": ("lfm2", "ModelArgs"),
    "llama4": ("llama4", "TextArgs"), "minimax_m3_vl": ("minimax_m3_vl", "TextArgs"),
    "mistral3": ("llama", "ModelArgs"), "pixtral": ("llama", "ModelArgs"),
    "prism_hadamard_qwen35": ("qwen3_5", "TextModelArgs"), "qwen2_vl": ("qwen2", "ModelArgs"),
    "qwen3_5": ("qwen3_5", "TextModelArgs"), "qwen3_5_moe": ("qwen3_5", "TextModelArgs"),
    "qwen3_vl": ("qwen3", "ModelArgs"), "qwen3_vl_moe": ("qwen3_moe", "ModelArgs"),
}  # fmt: skip

BOTH = ["sliding_attention", "full_attention"]
LLAMA_4_ROPE = {
    "rope_theta": 10000.0, "factor": 2.0, "type": "yarn", "original_max_position_embeddings": 64,
    "llama_4_scaling_beta": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0,
}  # fmt: skip
ONE_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}
ROPE_BY_LAYER = dict.fromkeys(BOTH, ONE_ROPE)

KIMI_LINEAR = {
    "kda_layers": [1], "full_attn_layers": [2], "num_heads": 4, "head_dim": 16, "short_conv_kernel_size": 4,
}  # fmt: skip

# What the fields of an architecture's own configuration are, by architecture.
OVERRIDES: dict[str, dict[str, Any]] = {
    "Klear": {"mlp_only_layers": [0]},
    "afm7": {"num_layers": 3, "num_kv_reuse_layers": 1},
    "afmoe": {"layer_types": BOTH},
    "baichuan_m1": {"sliding_window_layers": [0], "conv_window": 2},
    "bailing_moe_v3": {"n_group": 4, "topk_group": 2, "num_experts": 8},
    "dbrx": {
        "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 10000.0},
    },
    "deepseek_v2": {"rope_scaling": LLAMA_4_ROPE},
    "exaone4": {"sliding_window_pattern": "LG"},
    "exaone_moe": {"layer_types": BOTH, "is_moe_layer": [False, True]},
    "gear": {"layer_types": BOTH},
    "gemma3n": {
        "layer_types": BOTH * 2, "num_hidden_layers": 4, "num_kv_shared_layers": 2, "altup_num_inputs": 2,
        "activation_sparsity_pattern": [0.95, 0.95, 0.0, 0.0], "altup_active_idx": 0,
    },
    "gemma4": {"vocab_size": 64},
    "gemma4_text": {"num_kv_shared_layers": 1, "num_hidden_layers": 4},
    "glm_moe_dsa": {"rope_parameters": ONE_ROPE, "topk_method": "noaux_tc"},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "mamba_n_groups": 2},
    "hunyuan": {
        "cla_share_factor": 2, "use_cla": True,
        "rope_scaling": {"alpha": 2.0, "factor": 1.0, "type": "dynamic"},
    },
    "jamba": {"layers_block_type": ["mamba", "attention"]},
    "kimi_k3": {
        "linear_attn_config": KIMI_LINEAR, "attn_res_block_size": 2, "routed_expert_hidden_size": 32,
        "activation_situ_beta": 1.0, "activation_situ_linear_beta": 1.0,
    },
    "kimi_linear": {"linear_attn_config": KIMI_LINEAR},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "llama4": {"num_hidden_layers": 4, "rope_scaling": None, "num_experts_per_tok": 1,
               "attention_chunk_size": 4},
    "llama4_text": {"no_rope_layers": [1, 0]},
    "longcat_flash": {"zero_expert_type": "identity", "mla_scale_q_lora": True, "mla_scale_kv_lora": True},
    "longcat_flash_ngram": {"mla_scale_q_lora": True, "mla_scale_kv_lora": True},
    "mamba2": {"time_step_limit": (0.001, 100.0)},
    "mellum": {"layer_types": BOTH, "rope_parameters": ROPE_BY_LAYER},
    "mimo_v2_flash": {"hybrid_layer_pattern": [1, 0], "moe_layer_freq": [0, 1], "topk_method": "noaux_tc"},
    "minicpm3": {"rope_scaling": {"original_max_position_embeddings": 64}},
    "minimax_m3_vl": {"moe_layer_freq": [0, 1]},
    "ministral3": {"rope_parameters": LLAMA_4_ROPE},
    "mistral4": {"rope_parameters": LLAMA_4_ROPE},
    "nemotron-nas": {"block_configs": [
        {"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 1.5}},
        {"attention": {"no_op": True}, "ffn": {"replace_with_linear": True}},
    ]},
    "nemotron_h": {
        "hybrid_override_pattern": ["M", "*", "-", "E"], "n_group": 2, "topk_group": 1,
        "routed_scaling_factor": 1.5,
    },
    "olmo3": {"layer_types": BOTH},
    "openelm": {"num_query_heads": [4, 4], "num_kv_heads": [2, 2], "ffn_multipliers": [1.0, 1.5]},
    "phi3small": {"vocab_size": 100352, "hidden_size": 32},  # it writes to places of the vocabulary by number
    "prism_hadamard_qwen35": {
        "tensor_namespace": "mlx-vlm-qwen3_5", "hidden_size": 512, "full_attention_interval": 2,
        "quantization": {"bits": 2, "group_size": 128, "mode": "affine"},
        "modules": [{"path": "model.embed_tokens", "embedding": True, "dtype": "float16", "block": 0},
                    {"path": "lm_head", "embedding": False, "dtype": "float16", "block": 512}],
    },
    "qwen3_moe": {"mlp_only_layers": [0]},
    "qwen3_next": {"mlp_only_layers": [], "full_attention_interval": 2},
    "qwen3_5": {"full_attention_interval": 2},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "spark2_5": {"layer_types": BOTH, "rope_parameters": ROPE_BY_LAYER},
}  # fmt: skip
