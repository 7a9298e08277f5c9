"""What staff decide: acts signed with their cards, who may sign them, and what is made of them."""
